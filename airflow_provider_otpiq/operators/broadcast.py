"""The operators of a broadcast: one message to an audience of any size, in as many campaigns as needed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.operators._base import OtpiqBaseOperator, RejectsEmptyFields, names_of_template_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_otpiq._broadcast.result import BroadcastResult
    from airflow_provider_otpiq._broadcast.start import StartResult
    from airflow_provider_otpiq.operators._base import Text, Time


__all__ = ["CreateBroadcastOperator", "StartBroadcastOperator", "StopBroadcastOperator"]


class _BroadcastOperator(RejectsEmptyFields, OtpiqBaseOperator):
    """What the operators of a broadcast share."""

    _result: BroadcastResult | None = None

    def _push_result(self, context: Context, result: BroadcastResult) -> str:
        """Push the counts, publish what the task did, and return the ledger's path for ``return_value``."""
        self._result = result
        if self.do_xcom_push:
            context["ti"].xcom_push(key="broadcast", value=result.totals)
        self._publish(context, result.first_campaign_id, {**result.totals, "ledger": result.ledger.location})
        return str(result.ledger)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Report the audience and its campaigns to OpenLineage, if Airflow's OpenLineage provider is installed.

        :param task_instance: the task instance, once it has ended.
        :return: the audience and the campaigns.
        """
        from airflow_provider_otpiq.operators._lineage import broadcast_lineage

        return broadcast_lineage(self._result)


class CreateBroadcastOperator(_BroadcastOperator):
    """
    Create the campaigns of a broadcast: a draft for each part of an audience. It sends no messages.

    The broadcast's ledger, a folder of small files, saves what was done. A later try, a cleared task and a new DAG run
    with the same ledger continue from it, on every version of Airflow. Several processes may work at once. A lost
    response may leave an empty draft, which is never sent.

    Before the first campaign, the audience is compared with the template's parameters, the connection's guard rails,
    and the number of people that the sending number may reach in a day (a warning). If OTPIQ refuses a campaign, the
    others are still created. The task then fails with a list, and a cleared task retries only these campaigns.

    XCom: ``return_value`` is the path of the ledger, for a :class:`StartBroadcastOperator`. Key ``broadcast`` is a dict
    of ``campaigns``, ``recipients`` and ``estimated_cost`` (in IQD; None if OTPIQ does not report all of it). Key
    ``first_campaign_id`` is the ``_id`` of the first campaign, for a :class:`.SendSampleOperator`. With shards, these
    are of the task's own shard.

    Rules of the fields: https://docs.otpiq.com, *Create campaign* and *Add recipients*.

    :param audience: the path of the manifest of a prepared audience, such as the output of a
        :class:`.PrepareAudienceOperator`. (templated)
    :param name: the name of the campaigns, to which their number is added: ``Summer offer 3/50``. At most 80 characters
        with the number. (templated)
    :param template_id: id of the message template, 24 hexadecimal characters. Either it or ``template_name`` is
        required. (templated)
    :param template_name: name of an approved template. (templated)
    :param template_language: its language, such as ``ar``, if several templates have the name. (templated)
    :param phone_number_id: id of the sending number, 24 hexadecimal characters. Either it or ``phone_number`` is
        required. (templated)
    :param phone_number: a connected number, such as ``+964 770 123 4567``. (templated)
    :param ledger: the absolute local path or the URL of the ledger's folder, ``ledger`` beside the manifest by default.
        Every worker must reach it. Another message to the same audience needs another ledger. It is an error if it is
        set and renders to an empty value. (templated)
    :param shard: the shard that this task works on, from 0; required if ``shards`` is more than 1. (templated)
    :param shards: the number of tasks that divide the parts, 1 by default. It is an error if it is set and renders to
        an empty value. (templated)
    :param replace: whether a changed request replaces the one in the ledger. False, the default, makes it an error. It
        is always an error once a start of the other request has begun. Earlier drafts remain but are never sent.
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

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
        shard: int | Text | None = None,
        shards: int | Text = 1,
        replace: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())
        self.replace = replace

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Create and attach the campaigns that are missing.

        :param context: the task's context.
        :return: the path of the ledger.
        :raises OtpiqValidationError: if a field, the audience or the ledger cannot be used; the task created nothing.
        :raises OtpiqRequestError: if OTPIQ refuses some campaigns; the text lists those, the others are done.
        :raises OtpiqError: as :meth:`.OtpiqHook.create_campaign` and :meth:`.OtpiqHook.attach_recipients`; a later try
            continues.
        """
        from airflow_provider_otpiq._broadcast.create import create_broadcast
        from airflow_provider_otpiq._broadcast.request import CreateBroadcast

        result = create_broadcast(
            self.hook, CreateBroadcast.parse(**self._rendered_fields(context)), replace=self.replace
        )
        if self.do_xcom_push:
            context["ti"].xcom_push(key="first_campaign_id", value=result.first_campaign_id)
        return self._push_result(context, result)


class StartBroadcastOperator(_BroadcastOperator):
    """
    Start a broadcast: schedule each of its campaigns, which then start automatically. It costs money.

    Before the first one, the cost of all campaigns is compared with the project's credit. Scheduling is idempotent: if
    a response is lost or a worker dies, a later try, a cleared task or a new DAG run with the same ledger continues,
    and each person still gets the message once. If OTPIQ refuses a campaign, the others are still scheduled. The task
    then fails with a list, and a cleared task retries only these campaigns.

    The number of recipients that OTPIQ returns for each campaign is compared with its part. A campaign with more, which
    somebody else has attached, is made a draft again, and is an error.

    If the time has passed when a campaign is scheduled, it starts ``lead_time`` from now, unless that is more than
    ``max_delay`` late. Then the error lists the campaigns that are not scheduled.

    With ``wave_size`` and ``wave_interval``, the campaigns start in waves: whole campaigns, in the order of their
    parts. Before anything is scheduled, the time of each wave is compared with the connection's quiet hours.
    ``max_delay`` counts from the wave's own time.

    If a :class:`StopBroadcastOperator` stops the broadcast, a start that is running fails. After a stop, a start with
    another ``scheduled_for`` schedules the campaigns that were stopped. It first waits until no request of the stop can
    take effect.

    XCom: ``return_value`` is the path of the ledger. Key ``broadcast`` is a dict of ``scheduled`` and
    ``already_scheduled`` (campaigns, by this try and before it), ``recipients``, ``estimated_cost`` (in IQD; None if
    OTPIQ does not report all of it), ``scheduled_for`` (of the last campaign, in UTC) and ``waves`` (a list of
    ``scheduled_for`` and ``recipients``). With shards, the counts are of the task's shard.

    Rules: https://docs.otpiq.com, *Update draft or scheduled campaign*.

    :param broadcast: the path of the ledger, such as the output of a :class:`CreateBroadcastOperator`, mapped or not.
        (templated)
    :param scheduled_for: when the campaigns start. A datetime or an ISO 8601 string; a naive time is in the DAG's
        timezone. ``lead_time`` from now if it is not set. It is an error if it is set and renders to an empty value. A
        start that has begun keeps its time and its waves: others are an error until a stop. (templated)
    :param lead_time: how far ahead a campaign is scheduled if ``scheduled_for`` is not set or has passed: at least two
        minutes, ten minutes by default.
    :param max_delay: how late a campaign may start, 30 minutes by default.
    :param wave_size: the maximum number of recipients of a wave, at least those of the largest campaign. All campaigns
        start at once by default. It is an error if it is set and renders to an empty value. (templated)
    :param wave_interval: the time from the start of a wave to that of the next one, at least ``max_delay``. Required
        with ``wave_size``, and only with it.
    :param check_health: whether to check the template and the number again before the first campaign is scheduled,
        True by default. A template that is no longer approved, and a banned number or account, are errors. A number
        with the quality RED, and what OTPIQ does not list, are warnings. (templated)
    :param shard: the shard that this task works on, from 0; required if ``shards`` is more than 1. (templated)
    :param shards: the number of tasks that divide the parts, 1 by default. Each shard needs a task: put a start without
        shards after them, which schedules what they left out. It is an error if it is set and renders to an empty
        value. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    required_if_set = ("scheduled_for", "wave_size", "shards")

    def __init__(
        self,
        *,
        broadcast: Text,
        scheduled_for: Time | None = None,
        lead_time: timedelta = timedelta(minutes=10),
        max_delay: timedelta = timedelta(minutes=30),
        wave_size: int | Text | None = None,
        wave_interval: timedelta | None = None,
        check_health: bool | Text = True,
        shard: int | Text | None = None,
        shards: int | Text = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())
        self.lead_time = lead_time
        self.max_delay = max_delay
        self.wave_interval = wave_interval

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Schedule the campaigns that are not scheduled yet.

        :param context: the task's context.
        :return: the path of the ledger.
        :raises OtpiqValidationError: if a field or the ledger cannot be used, the broadcast's create has not finished,
            its template or number can no longer be used, or it is too late; the task scheduled nothing.
        :raises OtpiqCreditError: if the project's credit does not cover the campaigns; the task scheduled nothing.
        :raises OtpiqRequestError: if OTPIQ refuses some campaigns; the text lists those, the others are scheduled.
        :raises OtpiqSupersededError: if the broadcast was stopped meanwhile.
        :raises OtpiqError: as :meth:`.OtpiqHook.update_campaign`; a later try continues.
        """
        from airflow_provider_otpiq._broadcast.request import StartBroadcast
        from airflow_provider_otpiq._broadcast.start import start_broadcast

        request = StartBroadcast.parse(
            **self._rendered_fields(context),
            lead_time=self.lead_time,
            max_delay=self.max_delay,
            wave_interval=self.wave_interval,
        )
        result = start_broadcast(self.hook, request, run_id=_run_id(context))
        self._log_start(context, result)
        return self._push_result(context, result)

    def _log_start(self, context: Context, result: StartResult) -> None:
        """Log when the messages go out, or that another DAG run has sent them."""
        from pendulum import now

        time = self._describe_time(context, result.scheduled_for)
        if result.sent_by:
            self.log.warning(
                "This task sent nothing: run %s sent this broadcast on %s. To send it again, set another output of the"
                " audience, such as one with {{ run_id }} in it, or another ledger.",
                result.sent_by,
                time,
            )
        elif result.scheduled_for > now("UTC"):
            self._log_waves(context, result.totals["waves"])
        else:
            self.log.info("The broadcast was sent on %s.", time)

    def _log_waves(self, context: Context, waves: list[dict[str, Any]]) -> None:
        for number, wave in enumerate(waves, start=1):
            time = self._describe_time(context, wave["scheduled_for"])
            if len(waves) == 1:
                self.log.info("Scheduled for %s.", time)
            else:
                self.log.info(
                    "Wave %d of %d: recipients: %s, scheduled for %s.",
                    number,
                    len(waves),
                    f"{wave['recipients']:,}",
                    time,
                )


class StopBroadcastOperator(_BroadcastOperator):
    """
    Stop a broadcast: make each of its campaigns that has not started a draft again. It sends no messages.

    The stop is saved in the broadcast's ledger first: a start that is running then fails, and a cleared one schedules
    nothing. A request that a start has sent just before may still take effect. So the stop waits until none can, and
    makes the campaigns drafts a second time. With the connection's default timeouts, that takes about two minutes.

    A campaign that has started cannot be stopped. It is listed, with the number of its recipients.

    The stop is idempotent: a later try, a cleared task or a new DAG run continues it, or changes nothing. Afterwards, a
    :class:`StartBroadcastOperator` with another ``scheduled_for`` starts the stopped campaigns.

    XCom: ``return_value`` is the path of the ledger. Key ``broadcast`` is a dict of ``stopped`` and ``too_late``
    (campaigns), ``recipients_stopped`` and ``recipients_too_late``. With shards, the counts are of the task's shard.

    Rules: https://docs.otpiq.com, *Update draft or scheduled campaign*.

    :param broadcast: the path of the ledger, such as the output of a :class:`CreateBroadcastOperator`, mapped or not.
        (templated)
    :param fail_if_too_late: whether the task fails, at its end, if a campaign has started, True by default. (templated)
    :param shard: the shard that this task works on, from 0; required if ``shards`` is more than 1. (templated)
    :param shards: the number of tasks that divide the parts, 1 by default. The stop is finished when all shards are. It
        is an error if it is set and renders to an empty value. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. Its timeouts must be at least
        those of the start's connection, because the stop waits for its requests. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    required_if_set = ("shards",)

    def __init__(
        self,
        *,
        broadcast: Text,
        fail_if_too_late: bool | Text = True,
        shard: int | Text | None = None,
        shards: int | Text = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Make the campaigns that have not started drafts again.

        :param context: the task's context.
        :return: the path of the ledger.
        :raises OtpiqValidationError: if a field or the ledger cannot be used, or the broadcast was never started.
        :raises OtpiqConflictError: if ``fail_if_too_late`` and a campaign has started; the text lists those, the others
            are stopped.
        :raises OtpiqRequestError: if OTPIQ refuses some campaigns; the text lists those, the others are drafts.
        :raises OtpiqSupersededError: if another task has finished the stop meanwhile, and a new start has begun.
        :raises OtpiqError: as :meth:`.OtpiqHook.update_campaign`; a later try continues.
        """
        from airflow_provider_otpiq._broadcast.request import StopBroadcast
        from airflow_provider_otpiq._broadcast.stop import stop_broadcast

        request = StopBroadcast.parse(**self._rendered_fields(context))
        result = stop_broadcast(self.hook, request, run_id=_run_id(context))
        ledger = self._push_result(context, result)
        result.report_too_late(fail=request.fail_if_too_late)
        return ledger


def _run_id(context: Context) -> str:
    ti: Any = context["ti"]
    return f"{ti.dag_id}/{ti.run_id}"
