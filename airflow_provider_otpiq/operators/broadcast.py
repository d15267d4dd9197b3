"""The operators of a broadcast: one message to an audience of any size, in as many campaigns as it takes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.operators._base import OtpiqBaseOperator, RejectsEmptyFields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_otpiq._broadcast.create import BroadcastDrafts
    from airflow_provider_otpiq._broadcast.start import BroadcastStart
    from airflow_provider_otpiq.operators._base import Text, Time

    Whole = int | str | XComArg

__all__ = ["CreateBroadcastOperator", "StartBroadcastOperator"]


class _BroadcastOperator(RejectsEmptyFields, OtpiqBaseOperator):
    """What the operators share that work on a broadcast."""

    _work: BroadcastDrafts | BroadcastStart | None = None

    def _push_broadcast(self, context: Context, work: BroadcastDrafts | BroadcastStart) -> str:
        """Push the counts and whatever else shows the broadcast, and return the ledger's path for ``return_value``."""
        self._work = work
        if self.do_xcom_push:
            context["ti"].xcom_push(key="broadcast", value=work.totals)
        self._publish(context, _first_campaign_id(work), {**work.totals, "ledger": work.ledger.location})
        return str(work.ledger)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Tell OpenLineage, where Airflow's provider of it is installed, which campaigns the audience has become.

        :param task_instance: the task instance, once it has ended.
        :return: the audience and the campaigns.
        """
        from airflow_provider_otpiq.operators._lineage import broadcast_lineage

        return broadcast_lineage(self._work)


def _first_campaign_id(work: BroadcastDrafts | BroadcastStart) -> str | None:
    return next((campaign.campaign_id for campaign in work.campaigns.values()), None)


class CreateBroadcastOperator(_BroadcastOperator):
    """
    Create the campaigns of a broadcast: a draft for each part of an audience. Nobody gets a message by it.

    The broadcast's ledger, a folder of small files, holds what was done. A later try, a cleared task and a new DAG run
    with the same ledger carry on where it ends, on every version of Airflow, and several processes at once get along.
    Where a response is lost, an empty draft may stay behind, which sends nothing.

    Before the first campaign, the audience is compared with what the template requires, with the connection's guard
    rails, and with how many people the sending number may reach in a day (a warning). A campaign that OTPIQ refuses
    does not stop the others: the task fails at the end with a list of them, and a cleared task takes up only those.

    XCom: ``return_value`` is the path of the ledger, for a :class:`StartBroadcastOperator`; key ``broadcast`` is a dict
    of ``campaigns``, ``recipients`` and ``estimated_cost`` (in IQD; None where OTPIQ does not tell all of it); key
    ``first_campaign_id`` is the ``_id`` of the first campaign, for a :class:`.SendSampleOperator`. With shards, these
    are of the task's own shard.

    Rules of the fields: https://docs.otpiq.com, *Create campaign* and *Add recipients*.

    :param audience: the path of the manifest of a prepared audience, such as the output of a
        :class:`.PrepareAudienceOperator`. (templated)
    :param name: what the campaigns are called, with their number behind it: ``Summer offer 3/50``; 80 characters at
        most with the number. (templated)
    :param template_id: id of the message template, 24 hexadecimal characters. Either it or ``template_name`` is
        required. (templated)
    :param template_name: name of an approved template. (templated)
    :param template_language: its language, such as ``ar``, where the name alone fits several. (templated)
    :param phone_number_id: id of the sending number, 24 hexadecimal characters. Either it or ``phone_number`` is
        required. (templated)
    :param phone_number: a connected number, such as ``+964 770 123 4567``. (templated)
    :param ledger: the absolute local path or the URL of the ledger's folder, ``ledger`` beside the manifest by default.
        Every worker must reach it. Another message to the same audience needs another ledger. If it is set and renders
        to an empty value, that is an error. (templated)
    :param shard: which of the shards this task works on, from 0; required where there are several. (templated)
    :param shards: over how many tasks the parts are divided, 1 by default. If it is set and renders to an empty value,
        that is an error. (templated)
    :param replace: whether a changed request replaces the one in the ledger, False by default, when it is an error. It
        is an error too once a start of the other one has begun. The drafts of the other one remain but are never sent.
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    template_fields: Sequence[str] = (
        "audience",
        "name",
        "template_id",
        "template_name",
        "template_language",
        "phone_number_id",
        "phone_number",
        "ledger",
        "shard",
        "shards",
        "otpiq_conn_id",
    )
    required_if_set = ("ledger", "shards")

    def __init__(
        self,
        *,
        audience: Text,
        name: Text,
        template_id: Text | None = None,
        template_name: Text | None = None,
        template_language: Text | None = None,
        phone_number_id: Text | None = None,
        phone_number: Text | None = None,
        ledger: Text | None = None,
        shard: Whole | None = None,
        shards: Whole = 1,
        replace: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.audience = audience
        self.name = name
        self.template_id = template_id
        self.template_name = template_name
        self.template_language = template_language
        self.phone_number_id = phone_number_id
        self.phone_number = phone_number
        self.ledger = ledger
        self.shard = shard
        self.shards = shards
        self.replace = replace

    def execute(self, context: Context) -> str:
        """
        Create and attach the campaigns that are missing.

        :param context: the task's context.
        :return: the path of the ledger.
        :raises OtpiqValidationError: if a field, the audience or the ledger cannot be used; nothing was sent.
        :raises OtpiqRequestError: if OTPIQ refuses some campaigns; the text lists those, the others are done.
        :raises OtpiqError: as :meth:`.OtpiqHook.create_campaign` and :meth:`.OtpiqHook.attach_recipients`; a later try
            carries on.
        """
        from airflow_provider_otpiq._broadcast.create import BroadcastDrafts
        from airflow_provider_otpiq._broadcast.request import CreateBroadcast

        fields = {name: getattr(self, name) for name in self.template_fields if name != "otpiq_conn_id"}
        drafts = BroadcastDrafts(self.hook, CreateBroadcast.parse(**fields), replace=self.replace)
        drafts.create()
        if self.do_xcom_push:
            context["ti"].xcom_push(key="first_campaign_id", value=_first_campaign_id(drafts))
        return self._push_broadcast(context, drafts)


class StartBroadcastOperator(_BroadcastOperator):
    """
    Start a broadcast: schedule each of its campaigns, which then start by themselves. It costs money.

    Before the first one, what all campaigns cost is compared with the project's credit. Scheduling is idempotent, so
    where a response is lost or a worker dies, a later try, a cleared task or a new DAG run with the same ledger carries
    on, and each person still gets the message once. A campaign that OTPIQ refuses does not stop the others: the task
    fails at the end with a list of them, and a cleared task takes up only those.

    The number of recipients that OTPIQ returns for each campaign is compared with its part. A campaign with more, which
    somebody else has attached, is taken back to a draft, and is an error.

    Where the time has passed when a try comes to a campaign, it goes out ``lead_time`` from now, as long as that is at
    most ``max_delay`` late; later than that it is an error that lists those that are not scheduled.

    XCom: ``return_value`` is the path of the ledger; key ``broadcast`` is a dict of ``scheduled`` and
    ``already_scheduled`` (campaigns, by this try and before it), ``recipients``, ``estimated_cost`` (in IQD; None where
    OTPIQ does not tell all of it) and ``scheduled_for`` (in UTC). With shards, the counts are of the task's own shard.

    Rules: https://docs.otpiq.com, *Update draft or scheduled campaign*.

    :param broadcast: the path of the ledger, such as the output of a :class:`CreateBroadcastOperator`, mapped or not.
        (templated)
    :param scheduled_for: when the campaigns start. A datetime or an ISO 8601 string; a naive time is in the DAG's
        timezone. ``lead_time`` from now if it is not set; if it is set and renders to an empty value, that is an error.
        A start that has begun keeps its time: another one is an error. (templated)
    :param lead_time: how far ahead a campaign is scheduled where ``scheduled_for`` is not set, or has passed: two
        minutes or more, ten minutes by default.
    :param max_delay: how late a campaign may start, 30 minutes by default.
    :param check_health: whether to look the template and the number up again before the first campaign is scheduled,
        True by default. A template that is no longer approved, and a number or an account that is banned, are
        errors; a number whose quality is RED, and what OTPIQ does not list, are warnings. (templated)
    :param shard: which of the shards this task works on, from 0; required where there are several. (templated)
    :param shards: over how many tasks the parts are divided, 1 by default. Each shard needs a task: put one more start
        without shards after them, which schedules what they left out. If it is set and renders to an empty value, that
        is an error. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    template_fields: Sequence[str] = (
        "broadcast",
        "scheduled_for",
        "check_health",
        "shard",
        "shards",
        "otpiq_conn_id",
    )
    required_if_set = ("scheduled_for", "shards")

    def __init__(
        self,
        *,
        broadcast: Text,
        scheduled_for: Time | None = None,
        lead_time: timedelta = timedelta(minutes=10),
        max_delay: timedelta = timedelta(minutes=30),
        check_health: bool | Text = True,
        shard: Whole | None = None,
        shards: Whole = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.broadcast = broadcast
        self.scheduled_for = scheduled_for
        self.lead_time = lead_time
        self.max_delay = max_delay
        self.check_health = check_health
        self.shard = shard
        self.shards = shards

    def execute(self, context: Context) -> str:
        """
        Schedule the campaigns that are not scheduled yet.

        :param context: the task's context.
        :return: the path of the ledger.
        :raises OtpiqValidationError: if a field or the ledger cannot be used, the broadcast's create has not finished,
            its template or number cannot be used any more, or it is too late; nothing was scheduled.
        :raises OtpiqCreditError: if the project's credit does not cover the campaigns; nothing was scheduled.
        :raises OtpiqRequestError: if OTPIQ refuses some campaigns; the text lists those, the others are scheduled.
        :raises OtpiqError: as :meth:`.OtpiqHook.update_campaign`; a later try carries on.
        """
        from airflow_provider_otpiq._broadcast.request import StartBroadcast
        from airflow_provider_otpiq._broadcast.start import BroadcastStart

        request = StartBroadcast.parse(
            broadcast=self.broadcast,
            scheduled_for=self._in_timezone_of_dag(context, "scheduled_for"),
            lead_time=self.lead_time,
            max_delay=self.max_delay,
            check_health=self.check_health,
            shard=self.shard,
            shards=self.shards,
        )
        ti: Any = context["ti"]
        start = BroadcastStart(self.hook, request, run_id=f"{ti.dag_id}/{ti.run_id}")
        start.schedule()
        self._log_start(context, start)
        return self._push_broadcast(context, start)

    def _log_start(self, context: Context, start: BroadcastStart) -> None:
        """Log when the messages go out, or that another DAG run has sent them."""
        from pendulum import now

        time = self._describe_time(context, start.scheduled_for)
        if start.sent_by:
            self.log.warning(
                "Nothing was sent: run %s sent this broadcast on %s. To send it again, set another output of the"
                " audience, such as one with {{ run_id }} in it, or another ledger.",
                start.sent_by,
                time,
            )
        elif start.scheduled_for > now("UTC"):
            self.log.info("Scheduled for %s.", time)
        else:
            self.log.info("The broadcast was sent on %s.", time)
