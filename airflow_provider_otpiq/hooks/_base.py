"""The base of the hook: the Airflow connection, its guard rails and the session of all calls."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq._http.client import OtpiqClient
from airflow_provider_otpiq._models.campaigns import ProjectInfo
from airflow_provider_otpiq._models.fields import is_set
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError

if TYPE_CHECKING:
    import requests


class OtpiqBaseHook(BaseHook):
    """A hook with an Airflow connection of type ``otpiq``."""

    conn_name_attr = "otpiq_conn_id"
    default_conn_name = "otpiq_default"
    conn_type = "otpiq"
    hook_name = "OTPIQ"

    def __init__(self, otpiq_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.otpiq_conn_id = otpiq_conn_id

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("settings", "_client")}  # no API key

    @cached_property
    def settings(self) -> ConnectionSettings:
        """The connection, validated."""
        if not is_set(self.otpiq_conn_id):
            raise OtpiqConfigurationError(
                "otpiq_conn_id: is empty or the string 'None'. Nothing was sent. Set the id of a connection."
            )
        return ConnectionSettings.from_connection(self.get_connection(self.otpiq_conn_id))

    @cached_property
    def guard_rails(self) -> GuardRails:
        """The connection's limits: who may get a message, and when. If one is invalid, no message can be sent."""
        return GuardRails.from_connection(self.otpiq_conn_id, self.settings.extra)

    @cached_property
    def _client(self) -> OtpiqClient:
        return OtpiqClient(self.settings, f"connection {self.otpiq_conn_id!r}")

    def get_conn(self) -> requests.Session:
        """
        Return the session of all calls.

        :return: the session. It sends the API key to every address, without the hook's timeouts and retries.
        """
        return self._client.session

    def test_connection(self) -> tuple[bool, str]:
        """
        Test the connection with one ``GET /info``, for the Test button of Airflow's connection form.

        It runs in Airflow's API server, so it neither sleeps nor retries.

        :return: whether the connection works, and the project's name with the remaining credit, or the error.
        """
        try:
            self.guard_rails  # noqa: B018  # validates the connection
            info = self._client.attempt("GET", "/info", ProjectInfo)
        except (OtpiqError, AirflowNotFoundException) as error:
            # Airflow tests a connection under a temporary id, which means nothing to the user.
            return False, str(error).replace(repr(self.otpiq_conn_id), "under test")
        credit = "unknown" if info.get("credit") is None else f"{float(info['credit']):,.0f} IQD"
        return True, f"Connected to OTPIQ project {sanitize(info['projectName'])!r}; remaining credit: {credit}."
