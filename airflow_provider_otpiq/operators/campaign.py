"""
The operators for a single campaign, one for each endpoint that creates or changes it.

Parsing a DAG file imports neither the HTTP client nor the models.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._task_state.at_most_once import AtMostOnce
from airflow_provider_otpiq._task_state.created_campaign import CreatedCampaignState
from airflow_provider_otpiq.operators._base import OtpiqBaseOperator, documented_fields, names_of_template_fields
from airflow_provider_otpiq.operators.recipients import AttachRecipientsOperator, SendSampleOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_otpiq.operators._base import Text, Time

__all__ = [
    "AttachRecipientsOperator",
    "CreateCampaignOperator",
    "SendSampleOperator",
    "StartCampaignOperator",
    "UpdateCampaignOperator",
]


class CreateCampaignOperator(OtpiqBaseOperator):
    """
    Create a WhatsApp campaign, without recipients.

    XCom: ``return_value`` is the campaign's ``_id``, a string; key ``campaign`` has its documented fields, a dict.

    All fields are validated when the task executes. If any breaks a rule, one error lists every validation error,
    nothing is sent, and no retry is used. None, an empty string and the string ``None`` mean "not set".

    Each task instance creates one campaign: on Airflow 3.3+, a later try and a cleared task return the campaign of an
    earlier try, as long as the rendered fields are the same. Other fields create a new campaign, with a warning that
    names the old one. So derive ``scheduled_for`` from the run: a time relative to now creates another campaign on each
    try. If OTPIQ's response to an earlier try was lost, or the worker died before it was saved, a later try creates
    another campaign; the first has no recipients and sends nothing.

    Rules of the fields: https://docs.otpiq.com, *Create campaign*.

    :param name: the campaign's name, 3 to 80 characters. (templated)
    :param template_id: id of the message template, 24 hexadecimal characters. Either it or ``template_name`` is
        required. (templated)
    :param phone_number_id: id of the sending number, 24 hexadecimal characters, of the template's WhatsApp Business
        Account. Either it or ``phone_number`` is required. (templated)
    :param schedule_type: ``now``, OTPIQ's default, saves a draft, to be started explicitly; ``schedule`` saves a
        campaign that starts automatically at ``scheduled_for``. (templated)
    :param scheduled_for: when the campaign starts, in the future; required with ``schedule``, and only allowed with it.
        A datetime or an ISO 8601 string; a naive time is in the DAG's timezone. (templated)
    :param template_name: name of an approved template, which is looked up when the task executes. (templated)
    :param template_language: the template's language, such as ``ar``, if several have its name. (templated)
    :param phone_number: a connected number, such as ``+964 770 123 4567``, of the template's account, which is looked
        up when the task executes. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param durable: whether to save the campaign for a later try, True by default. False creates a new campaign on
        every try. Airflow before 3.3 cannot save it.
    :param retry_policy: whether and when Airflow 3.3+ retries the task,
        :class:`~airflow_provider_otpiq.retry_policy.OtpiqRetryPolicy` by default; None leaves it to ``retries``
        and ``retry_delay``. Ignored before Airflow 3.3.
    """

    def __init__(
        self,
        *,
        name: Text,
        template_id: Text | None = None,
        phone_number_id: Text | None = None,
        schedule_type: Text | None = None,
        scheduled_for: Time | None = None,
        template_name: Text | None = None,
        template_language: Text | None = None,
        phone_number: Text | None = None,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())
        self.durable = durable

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Create the campaign, unless an earlier try of this task instance did.

        :param context: the task's context.
        :return: the campaign's ``_id``.
        :raises OtpiqError: as :meth:`.OtpiqHook.create_campaign`.
        """
        fields = self._rendered_fields(context)
        request = {"otpiq_conn_id": self.otpiq_conn_id, **fields}
        state = CreatedCampaignState(context, request, durable=self.durable)
        if campaign := state.campaign:
            self.log.info(
                "An earlier try created campaign %s from the same fields; this try sent nothing.", campaign["_id"]
            )
        else:
            campaign = documented_fields(self.hook.create_campaign(**fields))
            state.save(campaign)
            self.log.info("Created campaign %s.", campaign["_id"])
            self._log_time(context, fields["scheduled_for"])
        return self._push(context, campaign)


class UpdateCampaignOperator(OtpiqBaseOperator):
    """
    Edit a campaign that is a draft or scheduled. A campaign that has started cannot be edited.

    Only the fields that are set are changed; set at least one. None, an empty string and the string ``None`` mean
    "not set". All fields are validated when the task executes. If any breaks a rule, one error lists every validation
    error, nothing is sent, and no retry is used.

    XCom: ``return_value`` is the campaign's ``_id``, a string; key ``campaign`` has its documented fields, a dict.

    Rules of the fields: https://docs.otpiq.com, *Update draft or scheduled campaign*.

    :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters, such as the output of a
        :class:`CreateCampaignOperator`; not its ``campaignId``. (templated)
    :param name: a new name, 3 to 80 characters. (templated)
    :param template_id: id of another message template, 24 hexadecimal characters. (templated)
    :param phone_number_id: id of another sending number, 24 hexadecimal characters. (templated)
    :param category: ``MARKETING`` or ``UTILITY``. (templated)
    :param schedule_type: ``schedule``, or ``now`` to make the campaign a draft again and clear its time. (templated)
    :param scheduled_for: a new start time, in the future; not together with ``now``. A datetime or an ISO 8601 string;
        a naive time is in the DAG's timezone. Alone, it keeps a scheduled campaign scheduled and a draft a draft
        (assumption ``time-alone-keeps-draft``): set ``schedule`` too to schedule a draft. (templated)
    :param template_name: name of another approved template, instead of its id. (templated)
    :param template_language: the template's language, if several have its name. (templated)
    :param phone_number: another connected number, instead of its id. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`CreateCampaignOperator`.
    """

    def __init__(
        self,
        *,
        campaign_id: Text,
        name: Text | None = None,
        template_id: Text | None = None,
        phone_number_id: Text | None = None,
        category: Text | None = None,
        schedule_type: Text | None = None,
        scheduled_for: Time | None = None,
        template_name: Text | None = None,
        template_language: Text | None = None,
        phone_number: Text | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Edit the campaign.

        :param context: the task's context.
        :return: the campaign's ``_id``.
        :raises OtpiqError: as :meth:`.OtpiqHook.update_campaign`.
        """
        fields = self._rendered_fields(context)
        campaign = self.hook.update_campaign(**fields)
        self.log.info("Updated campaign %s.", campaign["_id"])
        self._log_time(context, fields["scheduled_for"])
        return self._push(context, campaign)


class StartCampaignOperator(OtpiqBaseOperator):
    """
    Start a campaign now, even if it is scheduled for later: its messages are sent immediately, and cost money.

    To send at a time, schedule the draft instead, with an :class:`UpdateCampaignOperator` (``schedule_type="schedule"``
    and ``scheduled_for``): that is idempotent, and the campaign then starts automatically.

    A start is sent at most once. If OTPIQ's response is lost, whether the campaign has started is unknown: the task
    fails immediately without retries, and a person checks first. On Airflow 3.3+, a pending marker is saved in the
    task's state before the request, and the response after it. A later try and a cleared task return the saved
    response. If only the marker exists, because the worker died, nothing is sent, and the error lists what to do. A
    mapped task whose input changed its order or length before a clear sends nothing either, because Airflow keys state
    by map index. (An index that is new after the clear has no state, and sends.)

    XCom: ``return_value`` is the campaign's ``_id``, a string; key ``campaign`` is the campaign, a dict.

    Rules: https://docs.otpiq.com, *Start campaign*.

    :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters, such as the output of a
        :class:`CreateCampaignOperator`; not its ``campaignId``. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param durable: whether to save state for a later try, True by default. False may start a campaign again. Airflow
        before 3.3 cannot save it.
    :param retry_policy: as for :class:`CreateCampaignOperator`.
    """

    template_fields: Sequence[str] = ("campaign_id", "otpiq_conn_id")

    def __init__(self, *, campaign_id: Text, durable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.campaign_id: Any = campaign_id
        self.durable = durable

    def execute(self, context: Context) -> str:
        """
        Start the campaign, unless an earlier try of this task instance did.

        :param context: the task's context.
        :return: the campaign's ``_id``.
        :raises OtpiqError: as :meth:`.OtpiqHook.start_campaign`.
        :raises OtpiqOutcomeUnknownError: if whether the campaign has started is unknown.
        """
        state = AtMostOnce(context, "start", self.campaign_id, durable=self.durable)
        if campaign := state.previous_result():
            self.log.info("An earlier try started campaign %s; this try sent nothing.", self.campaign_id)
        else:
            campaign = state.run_once(
                lambda: documented_fields(self.hook.start_campaign(campaign_id=self.campaign_id, pending_marker=state))
            )
            self.log.info("Started campaign %s.", campaign["_id"])
            self._warn_if_scheduled_for_later(campaign)
        return self._push(context, campaign)

    def _warn_if_scheduled_for_later(self, campaign: dict[str, Any]) -> None:
        from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format

        with suppress(ValueError):  # the response has no time, or an invalid one
            scheduled_for = parse_datetime(campaign.get("scheduledFor"))
            if scheduled_for > pendulum.now("UTC"):
                self.log.warning(
                    "Campaign %s was scheduled for %s. A start does not wait: its messages go out now, not at the"
                    " scheduled time.",
                    campaign["_id"],
                    to_api_format(scheduled_for),
                )
