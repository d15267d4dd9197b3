"""What all operators share. Nothing of HTTP or of the models is imported while a DAG file is parsed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_otpiq.operators._asset_events import add_to_asset_events
from airflow_provider_otpiq.operators._dashboard import OtpiqDashboardLink, push_dashboard_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.sdk import RetryPolicy

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    Text = str | XComArg
    Time = str | datetime | XComArg

DEFAULT_RETRY_POLICY: RetryPolicy | None
try:
    from airflow_provider_otpiq.retry_policy import OtpiqRetryPolicy
except ImportError:  # Airflow before 3.3
    DEFAULT_RETRY_POLICY = None
else:
    DEFAULT_RETRY_POLICY = OtpiqRetryPolicy()

_UTC = ("UTC", "Etc/UTC")

_DOCUMENTED = frozenset({
    "_id", "campaignId", "name", "template", "phoneNumber", "scheduledFor", "startedAt", "completedAt", "createdAt",
    "updatedAt", "totalRecipients", "sentCount", "deliveredCount", "failedCount", "estimatedTotalCost",
    "reservedAmount", "reconciledAmount", "isSampleCampaign", "sampleOfCampaign", "status",
})  # fmt: skip


class OtpiqBaseOperator(BaseOperator):
    """What all operators and sensors share."""

    ui_color = "#d7f5e3"
    operator_extra_links = (OtpiqDashboardLink(),)
    _dashboard_url = ""

    def __init__(
        self,
        *,
        otpiq_conn_id: Text = "otpiq_default",
        retry_policy: RetryPolicy | None = DEFAULT_RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        if DEFAULT_RETRY_POLICY is not None:  # BaseOperator knows the argument
            kwargs["retry_policy"] = retry_policy
        super().__init__(**kwargs)
        self.otpiq_conn_id = otpiq_conn_id

    @cached_property
    def hook(self) -> OtpiqHook:
        """The hook of the connection. It is made when the task executes."""
        from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

        return OtpiqHook(str(self.otpiq_conn_id))

    def _in_timezone_of_dag(self, context: Context, name: str) -> object:
        """Return the time of a field; a naive one gets the DAG's timezone, with a warning if that is only UTC."""
        from airflow_provider_otpiq._models.datetimes import apply_default_timezone

        value, dag = getattr(self, name), context.get("dag")
        time = apply_default_timezone(value, dag.timezone) if dag else value
        if dag and time is not value and dag.timezone.name in _UTC:
            self._warn_of_utc(name, time)
        return time

    def _warn_of_utc(self, name: str, time: object) -> None:
        """Log what a naive time means in a DAG that sets no timezone, for which Airflow uses UTC."""
        from pendulum import timezone

        from airflow_provider_otpiq._models.datetimes import describe

        self.log.warning(
            "%s has no offset, and the DAG's timezone is UTC, so it is %s. If you mean another timezone,"
            " give it an offset (+03:00), or set the timezone of the DAG's start_date (tz='Asia/Baghdad').",
            name,
            describe(time, timezone("Asia/Baghdad")),
        )

    def _log_time(self, context: Context, scheduled_for: object) -> None:
        """Log the time that was set."""
        from airflow_provider_otpiq._models.fields import is_set

        if is_set(scheduled_for):
            self.log.info("Scheduled for %s.", self._describe_time(context, scheduled_for))

    def _describe_time(self, context: Context, time: object) -> str:
        """Write a time in UTC and in the DAG's timezone."""
        from pendulum import UTC

        from airflow_provider_otpiq._models.datetimes import describe

        dag = context.get("dag")
        return describe(time, dag.timezone if dag else UTC)

    def _push(self, context: Context, campaign: Mapping[str, Any]) -> str:
        """Push the campaign's documented fields beside the id, and return the id for ``return_value``."""
        if self.do_xcom_push:  # what an earlier release saved in the task's state may have more fields
            context["ti"].xcom_push(key="campaign", value=documented_fields(campaign))
        campaign_id = str(campaign["_id"])
        self._publish(context, campaign_id, {"campaign_id": campaign_id})
        return campaign_id

    def _publish(self, context: Context, campaign_id: str | None, facts: Mapping[str, Any]) -> None:
        """Link the campaign in OTPIQ's dashboard, and say in the events of the task's assets what it did."""
        self._dashboard_url = push_dashboard_url(context, self.hook, campaign_id)
        add_to_asset_events(self, context, facts)


def documented_fields(campaign: Mapping[str, Any]) -> dict[str, Any]:
    """
    Select the documented fields of a campaign: a response could echo its recipients.

    :param campaign: the campaign as OTPIQ returns it.
    :return: its documented fields, and its ``status`` if it has one.
    """
    return {name: value for name, value in campaign.items() if name in _DOCUMENTED}
