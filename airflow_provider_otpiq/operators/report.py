"""The operator that writes a delivery report."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.operators._base import (
    ExitsOnKill,
    OtpiqBaseOperator,
    RejectsEmptyFields,
    names_of_template_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_otpiq._report.collect import WrittenReport
    from airflow_provider_otpiq.operators._base import Text, Time

__all__ = ["DeliveryReportOperator"]


class DeliveryReportOperator(ExitsOnKill, RejectsEmptyFields, OtpiqBaseOperator):
    """
    Write a file with the delivery status, the cost and the error reason of each message.

    The messages are those of a broadcast, of an audience in a period, or all messages of the project in a period. For
    a broadcast or an audience, the operator generates one report for each part, with the messages to its recipients
    only, and adds the columns ``reference``, ``part``, ``campaign_id`` (null for an audience) and ``ambiguous``, and
    unless ``statuses`` is set, ``person_messages``: the number of the recipient's messages in the report. A follow-up
    by :class:`.PrepareAudienceOperator` needs it.

    OTPIQ's reports name no campaign. If a recipient has several messages in the period, each of them counts. Their
    ``ambiguous`` is true, their part and campaign are null, and the log lists these recipients. That a period selects
    messages by the time of their creation is assumption ``report-created-at``.

    The other columns are OTPIQ's in snake_case: ``message_id``, ``phone_number`` (digits), ``sender_id``, ``cost_iqd``
    (an integer), ``message_type``, ``delivery_status``, ``error_reason`` (the last error of the message's flow, or
    null; a delivered message may have one, so ``delivery_status`` decides), ``refunded`` (a boolean), ``created_at``
    and ``sent_at`` (timestamps with a zone, null if not sent), and columns that OTPIQ may add, as strings. A
    documented column that is missing is an error.

    It needs the extra ``audience``: ``pip install 'airflow-provider-otpiq[audience]'``. Personal data is only in the
    destination: not in logs, XCom or rendered fields, and not in a temporary file after the task. A later try
    generates new reports, which cost nothing and which OTPIQ deletes after 30 days.

    XCom: ``return_value`` is the destination. The key ``report`` is a dict: the numbers of ``messages``, of those that
    are ``pending``, ``sent``, ``delivered``, ``read``, ``failed`` and ``refunded``, and of recipients without a message
    (``unmatched``), and ``cost_iqd`` without refunds, which is None if OTPIQ does not report every cost.

    Rules: https://docs.otpiq.com, *Generate delivery report*.

    :param destination: the local path or URL of the file, ending in ``.parquet`` or ``.csv``. An existing file is
        replaced. (templated)
    :param start: the beginning of the period. A datetime or an ISO 8601 string; a naive time is in the DAG's timezone.
        Required unless ``broadcast`` is set; a broadcast's period begins five minutes before its first campaign.
        (templated)
    :param end: the end of the period, after ``start``. Required unless ``broadcast`` is set; a broadcast's period ends
        now. (templated)
    :param statuses: only messages with one of these statuses: a list of ``pending``, ``sent``, ``delivered``, ``read``
        and ``failed``; all by default. An error if it is set and renders to an empty value. (templated)
    :param message_types: only messages of these types: a list of the names in OTPIQ's reports (``OTP``, ``Custom``,
        ``WhatsApp Template``, ``Other``), in any case. For a broadcast ``["WhatsApp Template"]`` by default, because
        its recipients also get OTPs (assumption ``report-message-type``); otherwise all. The log reports how many
        messages were ignored. An error if it is set and renders to an empty value. (templated)
    :param broadcast: the path of the ledger of a started broadcast, such as the output of a
        :class:`.StartBroadcastOperator`. An error if it is set and renders to an empty value. (templated)
    :param audience: the path of the manifest of an audience, instead of a broadcast. An error if it is set and renders
        to an empty value. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

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
        if isinstance(destination, PathLike):  # Airflow 3.0 takes its `resolve` for an XCom's
            destination = str(destination)
        self._assign(locals())

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def execute(self, context: Context) -> str:
        """
        Write the report.

        :param context: the task's context.
        :return: the destination.
        :raises OtpiqValidationError: if a field, the broadcast or the audience is not valid; nothing was sent.
        :raises OtpiqReportError: if a report is not as documented; nothing was written.
        :raises OtpiqError: as :meth:`.OtpiqHook.generate_report` and :meth:`.OtpiqHook.download_report`.
        """
        from airflow_provider_otpiq._report.collect import write_report
        from airflow_provider_otpiq._report.members import members_of
        from airflow_provider_otpiq._report.request import ReportRequest
        from airflow_provider_otpiq._storage import absolute

        request = ReportRequest.parse(**self._rendered_fields(context))
        members = members_of(request)
        self._written = write_report(self.hook, request, members)
        counts = self._written.counts
        self.log.info(
            "Wrote %s: %s.", request.destination, ", ".join(f"{key} {value}" for key, value in counts.items())
        )
        if self.do_xcom_push:
            context["ti"].xcom_push(key="report", value=counts)
        campaign_ids = members.campaign_ids if members else []
        self._publish(context, next(iter(campaign_ids), None), {**counts, "report": absolute(request.destination)})
        return request.destination

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Return the lineage of the file. Airflow's OpenLineage provider calls it after the task.

        :param task_instance: the task instance.
        :return: the campaigns of a broadcast as inputs, and the file as output.
        """
        from airflow_provider_otpiq.operators._lineage import report_lineage

        return report_lineage(self._written)
