"""The operator that tells what became of the messages."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.operators._base import ExitsOnKill, OtpiqBaseOperator, RejectsEmptyFields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_otpiq._report.collect import WrittenReport
    from airflow_provider_otpiq.operators._base import Text, Time

__all__ = ["DeliveryReportOperator"]


class DeliveryReportOperator(ExitsOnKill, RejectsEmptyFields, OtpiqBaseOperator):
    """
    Write a file of what became of the messages: who got one, what it cost, which failed and why.

    The messages are those of a broadcast, of an audience in a window, or all of the project's in a window. Of a
    broadcast or an audience, OTPIQ is asked for its own people only, in one report for each part, and each message gets
    the columns ``reference``, ``part``, ``campaign_id`` (null for an audience) and ``ambiguous``. A report has all
    messages of these people. For a broadcast, only template messages count, not OTPs: see ``message_types``. OTPIQ's
    reports name no campaign: a person who has several such messages in the window counts several times, ``ambiguous``
    is true for these messages, their part and campaign are null, and the log lists these people. That a window
    selects messages by the time of their creation is **an assumption**.

    The columns are OTPIQ's in snake_case: ``message_id``, ``phone_number`` (digits), ``sender_id``, ``cost_iqd`` (an
    integer), ``message_type``, ``delivery_status``, ``error_reason`` (the last error of the message's flow, null if
    there was none: a delivered message may have one, so ``delivery_status`` decides), ``refunded`` (a boolean),
    ``created_at`` and ``sent_at`` (timestamps with a zone, null if not sent), and others that OTPIQ may add, as
    strings. A documented column that is missing is an error.

    If ``broadcast``, ``audience`` or ``statuses`` is set and renders to an empty value, that is an error: the report
    would be about other messages.

    It needs the extra ``audience``: ``pip install 'airflow-provider-otpiq[audience]'``. People are in the destination
    only: in no log, XCom or rendered field, and in no temporary file after the task. A later try makes new reports,
    which cost nothing and which OTPIQ deletes after 30 days.

    XCom: ``return_value`` is the destination; key ``report`` is a dict of ``messages``, how many of them are
    ``pending``, ``sent``, ``delivered``, ``read``, ``failed`` and ``refunded``, ``cost_iqd`` (without what was
    refunded; None where OTPIQ does not tell all of it), and ``unmatched``: how many people have no message in it.

    Rules: https://docs.otpiq.com, *Generate delivery report*.

    :param destination: the local path or URL of the file, ending in ``.parquet`` or ``.csv``. One that is there is
        replaced. (templated)
    :param start: when the window begins. A datetime or an ISO 8601 string; a naive time is in the DAG's timezone.
        Required, but for a broadcast, whose own window begins five minutes before its first campaign. (templated)
    :param end: when the window ends, after ``start``. Required, but for a broadcast, whose own window ends now.
        (templated)
    :param statuses: which messages: a list of ``pending``, ``sent``, ``delivered``, ``read`` and ``failed``; all by
        default. If it is set and renders to an empty value, that is an error. (templated)
    :param message_types: which types of messages count: a list of names as OTPIQ's reports have them (``OTP``,
        ``Custom``, ``WhatsApp Template``, ``Other``), in any case. For a broadcast ``["WhatsApp Template"]`` by
        default, **an assumption**, as its people also get OTPs; otherwise all. The log says how many were left out. If
        it is set and renders to an empty value, that is an error. (templated)
    :param broadcast: the path of the ledger of a broadcast that was started, such as the output of a
        :class:`.StartBroadcastOperator`. (templated)
    :param audience: the path of the manifest of an audience, instead of a broadcast. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    template_fields: Sequence[str] = (
        "destination",
        "start",
        "end",
        "statuses",
        "message_types",
        "broadcast",
        "audience",
        "otpiq_conn_id",
    )
    required_if_set = ("broadcast", "audience", "statuses", "message_types")
    _written: WrittenReport | None = None

    def __init__(
        self,
        *,
        destination: Text | PathLike[str],
        start: Time | None = None,
        end: Time | None = None,
        statuses: Sequence[str] | XComArg | None = None,
        message_types: Sequence[str] | XComArg | None = None,
        broadcast: Text | None = None,
        audience: Text | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Airflow 3.0 takes a path's `resolve` for an XCom's, and calls it with the context.
        self.destination = str(destination) if isinstance(destination, PathLike) else destination
        self.start = start
        self.end = end
        self.statuses = statuses
        self.message_types = message_types
        self.broadcast = broadcast
        self.audience = audience

    def execute(self, context: Context) -> str:
        """
        Make the report.

        :param context: the task's context.
        :return: the destination.
        :raises OtpiqValidationError: if a field, the broadcast or the audience cannot be used; nothing was sent.
        :raises OtpiqReportError: if a report is not what OTPIQ documents; nothing was written.
        :raises OtpiqError: as :meth:`.OtpiqHook.generate_report` and :meth:`.OtpiqHook.download_report`.
        """
        from airflow_provider_otpiq._report.collect import write_report
        from airflow_provider_otpiq._report.members import members_of
        from airflow_provider_otpiq._report.request import ReportRequest
        from airflow_provider_otpiq._storage import absolute

        request = ReportRequest.parse(
            destination=self.destination,
            start=self._in_timezone_of_dag(context, "start"),
            end=self._in_timezone_of_dag(context, "end"),
            statuses=self.statuses,
            message_types=self.message_types,
            broadcast=self.broadcast,
            audience=self.audience,
        )
        people = members_of(request)
        self._written = write_report(self.hook, request, people)
        counts = self._written.counts
        self.log.info("Wrote %s: %s.", request.destination, ", ".join(f"{name} {n}" for name, n in counts.items()))
        if self.do_xcom_push:
            context["ti"].xcom_push(key="report", value=counts)
        campaign_ids = people.campaign_ids if people else []
        self._publish(context, next(iter(campaign_ids), None), {**counts, "report": absolute(request.destination)})
        return request.destination

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Tell OpenLineage, where Airflow's provider of it is installed, of which campaigns the file tells.

        :param task_instance: the task instance, once it has ended.
        :return: the campaigns of a broadcast, and the file.
        """
        from airflow_provider_otpiq.operators._lineage import report_lineage

        return report_lineage(self._written)
