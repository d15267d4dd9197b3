"""The base of all operators. Parsing a DAG file imports neither the HTTP client nor the models."""

from __future__ import annotations

import inspect
import re
import sys
from functools import cached_property
from signal import SIGTERM
from typing import TYPE_CHECKING, Any, ClassVar

import pendulum
from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, BaseOperatorLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
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
_TEMPLATED = re.compile(r"\b(Text|Time|XComArg)\b")  # in the annotations of arguments that accept a template
_TIMES = ("scheduled_for", "start", "end")

# The documented fields of a response, beside those of a create.
_RETURNED = frozenset({
    "_id", "campaignId", "template", "phoneNumber", "startedAt", "completedAt", "createdAt", "updatedAt",
    "totalRecipients", "sentCount", "deliveredCount", "failedCount", "estimatedTotalCost", "reservedAmount",
    "reconciledAmount", "isSampleCampaign", "sampleOfCampaign", "status",
})  # fmt: skip


class OtpiqDashboardLink(BaseOperatorLink):
    """A button of the task in Airflow's UI. The task pushes the URL."""

    name = "OTPIQ dashboard"
    xcom_key = _DASHBOARD_KEY  # Airflow 3's UI reads the XCom without this class

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the link's URL.

        :param operator: the task's operator. Airflow 3 asks right after execution, and saves the URL for the UI.
        :param ti_key: the task instance.
        :return: the URL; an empty string for no link, because None would become the string ``None``.
        """
        if (url := getattr(operator, "_dashboard_url", None)) is not None:
            return str(url)  # a missing XCom would log an error
        from airflow.providers.common.compat.sdk import XCom

        return XCom.get_value(ti_key=ti_key, key=_DASHBOARD_KEY) or ""  # in the webserver of Airflow 2


class OtpiqBaseOperator(BaseOperator):
    """The base of all operators and sensors."""

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
        if DEFAULT_RETRY_POLICY is not None:  # BaseOperator has the argument
            kwargs["retry_policy"] = retry_policy
        super().__init__(**kwargs)
        self.otpiq_conn_id = otpiq_conn_id

    def _assign(self, arguments: Mapping[str, Any]) -> None:
        """Assign ``__init__``'s arguments for the template fields, from its ``locals()``."""
        for name in self.template_fields:
            if name in arguments:
                setattr(self, name, arguments[name])

    @cached_property
    def hook(self) -> OtpiqHook:
        """The connection's hook, created when the task executes."""
        from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

        return OtpiqHook(str(self.otpiq_conn_id))

    def _rendered_fields(self, context: Context) -> dict[str, Any]:
        """Return the template fields of the request by name, with a naive time in the DAG's timezone."""
        return {
            name: self._in_timezone_of_dag(context, name) if name in _TIMES else getattr(self, name)
            for name in self.template_fields
            if name != "otpiq_conn_id"
        }

    def _in_timezone_of_dag(self, context: Context, name: str) -> object:
        """Return a field's time; a naive one gets the DAG's timezone, with a warning if that is UTC."""
        from airflow_provider_otpiq._models.datetimes import apply_default_timezone, describe

        value, dag = getattr(self, name), context.get("dag")
        time = apply_default_timezone(value, dag.timezone) if dag else value
        if dag and time is not value and dag.timezone.name in _UTC:  # also of a DAG without a timezone
            self.log.warning(
                "%s has no offset, and the DAG's timezone is UTC, so it is %s. For another timezone, add an offset"
                " (+03:00), or set the timezone of the DAG's start_date (tz='Asia/Baghdad').",
                name,
                describe(time, pendulum.timezone("Asia/Baghdad")),
            )
        return time

    def _log_time(self, context: Context, scheduled_for: object) -> None:
        """Log the time if it is set."""
        from airflow_provider_otpiq._models.fields import is_set

        if is_set(scheduled_for):
            self.log.info("Scheduled for %s.", self._describe_time(context, scheduled_for))

    def _describe_time(self, context: Context, time: object) -> str:
        """Return a time in UTC and in the DAG's timezone."""
        from airflow_provider_otpiq._models.datetimes import describe

        dag = context.get("dag")
        return describe(time, dag.timezone if dag else pendulum.UTC)

    def _push(self, context: Context, campaign: Mapping[str, Any]) -> str:
        """Push the campaign's documented fields, and return its id for ``return_value``."""
        if self.do_xcom_push:  # an earlier release saved more fields in the task's state
            context["ti"].xcom_push(key="campaign", value=documented_fields(campaign))
        campaign_id = str(campaign["_id"])
        self._publish(context, campaign_id, {"campaign_id": campaign_id})
        return campaign_id

    def _publish(self, context: Context, campaign_id: str | None, facts: Mapping[str, Any]) -> None:
        """Push the link to OTPIQ's dashboard, and add facts to the events of the task's assets."""
        self._dashboard_url = self._find_dashboard_url(campaign_id)
        if self._dashboard_url:
            context["ti"].xcom_push(key=_DASHBOARD_KEY, value=self._dashboard_url)
        add_to_asset_events(self, context, facts)

    def _find_dashboard_url(self, campaign_id: str | None) -> str:
        """Return the campaign's URL in OTPIQ's dashboard; empty if the connection does not have ``dashboard_url``."""
        try:
            template = self.hook.settings.dashboard_url
        except AirflowException:
            return ""  # an earlier try did the work, so the task succeeds although the connection is now invalid
        return template.replace("{campaign_id}", campaign_id) if template and campaign_id else ""


class RejectsEmptyFields:
    """An operator that refuses fields that are set and render to None."""

    required_if_set: ClassVar[tuple[str, ...]]
    """The names in its request's ``required_if_set``."""

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        were_set = [name for name in self.required_if_set if parent is self and _is_set(parent, name)]
        super()._do_render_template_fields(  # type: ignore[misc]
            parent, template_fields, context, jinja_env, seen_oids
        )
        for name in were_set:
            if getattr(self, name) is None:  # a missing XCom, or native rendering
                setattr(self, name, "")


def _is_set(operator: object, name: str) -> bool:
    """Return whether the DAG sets a field. In a mapped task, None may come from its mapping, such as an XCom."""
    own = vars(operator)
    is_mapped = own.get("_BaseOperator__from_mapped", False) and name in own.get("_BaseOperator__init_kwargs", ())
    return getattr(operator, name) is not None or is_mapped


class ExitsOnKill:
    """A task that exits when Airflow kills it, so that its temporary files are removed."""

    def on_kill(self) -> None:
        """
        Exit: five seconds later, Airflow 3 kills the process, and nothing could be removed.

        :raises SystemExit: so that each ``finally`` runs.
        """
        from airflow.providers.common.compat.sdk import AirflowTaskTimeout

        if not isinstance(sys.exception(), AirflowTaskTimeout):  # which already ends the task
            raise SystemExit(128 + SIGTERM)


def names_of_template_fields(init: Callable[..., None]) -> tuple[str, ...]:
    """Return the arguments of an operator's ``__init__`` that accept a template, and ``otpiq_conn_id``."""
    parameters = inspect.signature(init).parameters.items()
    names = (name for name, parameter in parameters if _TEMPLATED.search(str(parameter.annotation)))
    return (*names, "otpiq_conn_id")


def documented_fields(campaign: Mapping[str, Any]) -> dict[str, Any]:
    """Return the documented fields of a campaign: a response could echo its recipients."""
    from airflow_provider_otpiq._models.campaigns import CreateCampaign

    documented = _RETURNED | CreateCampaign.api_names()
    return {name: value for name, value in campaign.items() if name in documented}


def add_to_asset_events(operator: BaseOperator, context: Context, facts: Mapping[str, Any]) -> None:
    """
    Add facts to the ``extra`` of the asset events of the task's outlets.

    A user's own values are kept. An ``AssetAlias`` stays as it is: the user resolves it. The facts must not contain
    personal data: other DAGs and the UI show them.
    """
    if not operator.outlets:
        return
    from airflow.providers.common.compat.sdk import Asset  # a Dataset on Airflow 2

    for outlet in operator.outlets:
        if isinstance(outlet, Asset):
            event = context["outlet_events"][outlet]
            event.extra = {**facts, **event.extra}
