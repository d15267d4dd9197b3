"""What all operators share. Nothing of HTTP or of the models is imported while a DAG file is parsed."""

from __future__ import annotations

import sys
from functools import cached_property
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.sdk import RetryPolicy
    from airflow.sdk.types import TaskInstanceKey

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

_DASHBOARD_KEY = "dashboard_url"
_UTC = ("UTC", "Etc/UTC")

_DOCUMENTED = frozenset({
    "_id", "campaignId", "name", "template", "phoneNumber", "scheduledFor", "startedAt", "completedAt", "createdAt",
    "updatedAt", "totalRecipients", "sentCount", "deliveredCount", "failedCount", "estimatedTotalCost",
    "reservedAmount", "reconciledAmount", "isSampleCampaign", "sampleOfCampaign", "status",
})  # fmt: skip


class OtpiqDashboardLink(BaseOperatorLink):
    """A button of the task in Airflow's UI, where the task has pushed where it leads."""

    name = "OTPIQ dashboard"
    xcom_key = _DASHBOARD_KEY  # where Airflow 3 looks, without this class

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Find where the link leads.

        :param operator: the task's operator. Airflow 3 asks right after it has executed, for the UI to find it in XCom.
        :param ti_key: which task instance.
        :return: the URL, or an empty string, for which Airflow shows no link: None would become the text ``None``.
        """
        if (url := getattr(operator, "_dashboard_url", None)) is not None:
            return str(url)  # to look for an XCom that is not there would log an error
        from airflow.providers.common.compat.sdk import XCom

        return XCom.get_value(ti_key=ti_key, key=_DASHBOARD_KEY) or ""  # in the webserver of Airflow 2


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


class RejectsEmptyFields:
    """An operator that refuses some fields if they were set and render to None."""

    required_if_set: ClassVar[tuple[str, ...]]
    """The names of these fields: those of its request's ``required_if_set``."""

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        were_set = [name for name in self.required_if_set if parent is self and _is_set(parent, name)]
        super()._do_render_template_fields(  # type: ignore[misc]
            parent, template_fields, context, jinja_env, seen_oids
        )
        for name in were_set:
            if getattr(self, name) is None:  # an XCom that is not there, or native rendering
                setattr(self, name, "")


def _is_set(operator: object, name: str) -> bool:
    """Tell whether the DAG sets a field; of a mapped task, None is what its mapping gave, which may be an XCom."""
    own = vars(operator)
    is_mapped = own.get("_BaseOperator__from_mapped", False) and name in own.get("_BaseOperator__init_kwargs", ())
    return getattr(operator, name) is not None or is_mapped


class ExitsOnKill:
    """A task that ends where Airflow ends it, so that its temporary files are removed."""

    def on_kill(self) -> None:
        """
        End the task: five seconds after this, Airflow 3 ends its process without a chance to remove anything.

        :raises SystemExit: wherever the task is, so that each ``finally`` runs.
        """
        from airflow.providers.common.compat.sdk import AirflowTaskTimeout

        if not isinstance(sys.exception(), AirflowTaskTimeout):  # which has ended it already
            raise SystemExit(128 + SIGTERM)


def documented_fields(campaign: Mapping[str, Any]) -> dict[str, Any]:
    """
    Select the documented fields of a campaign: a response could echo its recipients.

    :param campaign: the campaign as OTPIQ returns it.
    :return: its documented fields, and its ``status`` if it has one.
    """
    return {name: value for name, value in campaign.items() if name in _DOCUMENTED}


def add_to_asset_events(operator: BaseOperator, context: Context, facts: Mapping[str, Any]) -> None:
    """
    Add facts to the ``extra`` of the events that Airflow makes for the task's outlets if it succeeds.

    What a user has put there under the same name is kept. An ``AssetAlias`` is left to the user, who says which assets
    it stands for.

    :param operator: whose outlets these are.
    :param context: the task's context.
    :param facts: what to say; nothing of a person, as other DAGs and the UI show it.
    """
    if not operator.outlets:
        return
    from airflow.providers.common.compat.sdk import Asset  # a Dataset on Airflow 2

    for outlet in operator.outlets:
        if isinstance(outlet, Asset):
            event = context["outlet_events"][outlet]
            event.extra = {**facts, **event.extra}


def push_dashboard_url(context: Context, hook: OtpiqHook, campaign_id: str | None) -> str:
    """
    Push where the campaign is in OTPIQ's dashboard, if the connection says.

    :param context: the task's context.
    :param hook: the hook of the connection.
    :param campaign_id: the campaign's ``_id``; None where there is none.
    :return: the URL; an empty string if there is none.
    """
    from airflow.providers.common.compat.sdk import AirflowException

    try:
        template = hook.settings.dashboard_url
    except AirflowException:
        return ""  # an earlier try did the work, and the connection has gone wrong since: the task has still succeeded
    if not template or not campaign_id:
        return ""
    url = template.replace("{campaign_id}", campaign_id)
    context["ti"].xcom_push(key=_DASHBOARD_KEY, value=url)
    return url
