"""The hook's lower half: from an Airflow connection to a session, and from a request to its answer."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import BaseHook
from pydantic_core import to_json

from airflow_provider_otpiq import __version__
from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq._http.connection_errors import connection_error, too_large
from airflow_provider_otpiq._http.responses import (
    Answer,
    accepted,
    outcome_unknown,
)
from airflow_provider_otpiq._http.retry import Repeats
from airflow_provider_otpiq._http.session import BearerAuth, Session, expect_request, read_whole, was_handed_over
from airflow_provider_otpiq._models.campaigns import is_given
from airflow_provider_otpiq._models.valid_recipients import ValidRecipients
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqConfigurationError, OtpiqError

if TYPE_CHECKING:
    import requests
    from pydantic import BaseModel


class PendingMarker(Protocol):
    """What is told before an attempt of a non-idempotent request, and after one that provably had no effect."""

    def save_pending_marker(self, in_flight_for: float) -> None:
        """Save that an attempt is about to be sent, whose outcome is settled after so many seconds."""

    def delete_pending_marker(self) -> None:
        """Delete the marker: the attempt had no effect, and a retry saves a new one."""


class NoPendingMarker:
    """A pending marker that nobody saves: for calls outside of the operators."""

    def save_pending_marker(self, in_flight_for: float) -> None:
        """Save nothing."""

    def delete_pending_marker(self) -> None:
        """Delete nothing."""


class OtpiqBaseHook(BaseHook):
    """
    Everything of :class:`~airflow_provider_otpiq.hooks.otpiq.OtpiqHook` but the endpoints.

    :param otpiq_conn_id: the Airflow connection of type ``otpiq`` to use, ``otpiq_default`` by default.
    """

    conn_name_attr = "otpiq_conn_id"
    default_conn_name = "otpiq_default"
    conn_type = "otpiq"
    hook_name = "OTPIQ"

    def __init__(self, otpiq_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.otpiq_conn_id = otpiq_conn_id

    @cached_property
    def settings(self) -> ConnectionSettings:
        """
        The connection, read and checked.

        :raises OtpiqConfigurationError: if anything in the connection cannot be used.
        :raises AirflowNotFoundException: if there is no such connection. Airflow tries the task again then, as a
            secrets backend that was away may be back.
        """
        if not is_given(self.otpiq_conn_id):
            raise OtpiqConfigurationError("otpiq_conn_id: is empty, or the text 'None'; nothing was sent.")
        return ConnectionSettings.of(self.get_connection(self.otpiq_conn_id))

    @cached_property
    def guard_rails(self) -> GuardRails:
        """
        Whom the connection may reach.

        :raises OtpiqConfigurationError: if they cannot be understood: then nobody may be messaged over it.
        :raises AirflowNotFoundException: if there is no such connection.
        """
        return GuardRails.of(self.otpiq_conn_id, self.settings.extra)

    def check_connection(self) -> None:
        """
        Make sure that everything in the connection can be used, guard rails included. Nothing is sent.

        :raises OtpiqConfigurationError: if anything cannot.
        :raises AirflowNotFoundException: if there is no such connection.
        """
        self.get_conn()
        self.guard_rails  # noqa: B018  # reading them is the check

    @cached_property
    def _session(self) -> requests.Session:
        session = Session()
        # Over plain http, which is for a sandbox, a proxy of the environment would see the API key.
        session.trust_env = not self.settings.host.startswith("http://")
        session.auth = BearerAuth(self.settings.password.get_secret_value())
        session.headers["User-Agent"] = f"airflow-provider-otpiq/{__version__} {session.headers['User-Agent']!s}"
        return session

    def get_conn(self) -> requests.Session:
        """
        Give the session that all calls go over, with the API key in it.

        It sends the key wherever it is used: the hook's own methods take care of the address, of time limits
        and of what may be repeated.

        :return: the session, the same one each time.
        :raises OtpiqConfigurationError: if anything in the connection cannot be used.
        """
        return self._session

    def _call(
        self,
        method: str,
        path: str,
        model: type[BaseModel],
        body: dict[str, Any] | ValidRecipients | None = None,
        *,
        at_most_once: PendingMarker | None = None,
    ) -> dict[str, Any]:
        """Send a request, retry it where that is allowed, and return the response's body."""
        repeats = Repeats(method, self.settings.max_retries)
        while True:
            try:
                if at_most_once:
                    return self._once_with_marker(method, path, model, body, at_most_once)
                return accepted(self._send(method, path, body), model)
            except OtpiqApiError as error:
                pause = repeats.pause_after(error)
                if pause is None:
                    raise
                self.log.warning("%s The same call repeats the request in %.0f s.", error, pause)
            time.sleep(pause)

    def _once_with_marker(
        self,
        method: str,
        path: str,
        model: type[BaseModel],
        body: dict[str, Any] | ValidRecipients | None,
        marker: PendingMarker,
    ) -> dict[str, Any]:
        """Send a request whose outcome must not stay open unnoticed, and return the response's body."""
        marker.save_pending_marker(self.settings.connect_timeout + 2 * self.settings.read_timeout)
        try:
            return accepted(self._send(method, path, body), model)
        except BaseException as error:  # Airflow's timeout, and its end of a task, are no Exceptions
            if not (error.may_have_taken_effect if isinstance(error, OtpiqError) else was_handed_over()):
                marker.delete_pending_marker()
                raise
            unknown = outcome_unknown(self._name_of(method, path), error)
            raise unknown from error

    def _name_of(self, method: str, path: str) -> str:
        return f"{method} {path} (connection {self.otpiq_conn_id!r})"

    def _send(self, method: str, path: str, body: dict[str, Any] | ValidRecipients | None) -> Answer:
        """Send a request once, and read the response whole."""
        expect_request()
        settings, call = self.settings, self._name_of(method, path)
        data = None if body is None else _encoded(body)
        try:
            with self.get_conn().request(
                method,
                settings.host + path,
                data=data,
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=(settings.connect_timeout, settings.read_timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                content = read_whole(response)
        except Exception as error:  # noqa: BLE001  # what a response holds can make a library raise anything
            failure = connection_error(call, error, settings)
        else:
            if content is not None:
                sanitize = body.sanitize if isinstance(body, ValidRecipients) else str
                return Answer(call, path, response.status_code, response.headers, content, settings.password, sanitize)
            failure = too_large(call)
        # Outside of the handler: the error's context would hold the request, and with it the API key.
        raise failure


def _encoded(body: dict[str, Any] | ValidRecipients) -> bytes:
    return body.body if isinstance(body, ValidRecipients) else to_json(body, inf_nan_mode="null")
