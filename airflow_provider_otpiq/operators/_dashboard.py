"""The link of a task to its campaign in OTPIQ's dashboard, whose address a connection may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

_KEY = "dashboard_url"


class OtpiqDashboardLink(BaseOperatorLink):
    """A button of the task in Airflow's UI, where the task has pushed where it leads."""

    name = "OTPIQ dashboard"
    xcom_key = _KEY  # where Airflow 3 looks, without this class

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

        return XCom.get_value(ti_key=ti_key, key=_KEY) or ""  # in the webserver of Airflow 2


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
    context["ti"].xcom_push(key=_KEY, value=url)
    return url
