"""The client: one HTTP request and its response, with the HTTP retries that are safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import to_json
from requests.utils import default_user_agent

from airflow_provider_otpiq import __version__
from airflow_provider_otpiq._http.connection_errors import connection_error
from airflow_provider_otpiq._http.responses import RawResponse, parse_response
from airflow_provider_otpiq._http.retry import with_retries
from airflow_provider_otpiq._http.session import (
    MAX_RESPONSE_BYTES,
    BearerAuth,
    Session,
    iter_body,
    request_was_sent,
    reset_sent_flag,
)
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqError, OtpiqOutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from airflow_provider_otpiq._http.settings import HttpSettings


class SerialisedBody(Protocol):
    """A body that is sent as it is, and that contains personal data."""

    body: bytes

    def substitute_for(self, text: str) -> str:
        """Return what is shown instead of a server's text that repeats personal data of the body; empty for others."""


class PendingMarker(Protocol):
    """What is saved around each attempt of a request that is sent at most once."""

    def save_pending_marker(self, in_flight_for: float) -> None:
        """Save that an attempt is about to be sent, and may be in flight for ``in_flight_for`` seconds."""

    def delete_pending_marker(self) -> None:
        """Delete the marker: the attempt provably had no effect."""


class OtpiqClient:
    """
    A client of OTPIQ's API. All requests use one session, with persistent connections.

    ``name`` is the connection's name in errors, such as ``connection 'otpiq_default'``.
    """

    def __init__(self, settings: HttpSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self.session = Session(settings.host)
        self.session.auth = BearerAuth(settings.password.get_secret_value())
        self.session.headers["User-Agent"] = f"airflow-provider-otpiq/{__version__} {default_user_agent()}"

    def request(
        self,
        method: str,
        path: str,
        response_model: type[BaseModel],
        body: dict[str, Any] | SerialisedBody | None = None,
        *,
        if_lost: str = "",
        is_idempotent: bool = False,
        check: Callable[[], None] | None = None,
    ) -> Any:
        """
        Send a request, retry it if that is safe, and return the response's body as OTPIQ sent it.

        ``if_lost`` is added to the error if the request may have taken effect. A GET and a PATCH are always idempotent.
        ``check`` is called before each attempt, and raises if the request must not be sent now.

        :raises OtpiqConfigurationError: if the connection's settings make it impossible to send.
        :raises OtpiqApiError: if the request fails.
        """

        def attempt() -> Any:
            if check:
                check()
            return self.attempt(method, path, response_model, body)

        try:
            return with_retries(
                attempt, self._settings.max_retries, is_idempotent=is_idempotent or method in ("GET", "PATCH")
            )
        except OtpiqApiError as error:
            if error.may_have_taken_effect:
                error.remedy = f"{error.remedy} {if_lost}".rstrip()
            raise

    def request_at_most_once(
        self,
        path: str,
        response_model: type[BaseModel],
        body: SerialisedBody | None,
        check: Callable[[], None],
        marker: PendingMarker | None,
    ) -> dict[str, Any]:
        """
        Send a POST that is not idempotent and costs money. It is never resent after it may have taken effect.

        ``check`` is called before each attempt, and raises if the request must not be sent now. The marker is saved
        before each attempt, and deleted after one that provably had no effect. So no marker exists during the delay
        before an HTTP retry.

        :raises OtpiqConfigurationError: if the connection's settings make it impossible to send.
        :raises OtpiqOutcomeUnknownError: if the request may have taken effect.
        :raises OtpiqApiError: if the request fails and provably had no effect.
        """

        def attempt() -> dict[str, Any]:
            check()
            if marker:
                marker.save_pending_marker(self._settings.max_seconds_in_flight)
            try:
                return self.attempt("POST", path, response_model, body)  # type: ignore[no-any-return]
            except BaseException as error:  # Airflow's timeout, and its end of a task, are not Exceptions
                if error.may_have_taken_effect if isinstance(error, OtpiqError) else request_was_sent():
                    raise _outcome_unknown(self._describe("POST", path), error) from error
                if marker:
                    marker.delete_pending_marker()
                raise

        return with_retries(attempt, self._settings.max_retries, is_idempotent=False)

    def attempt(
        self,
        method: str,
        path: str,
        response_model: type[BaseModel],
        body: dict[str, Any] | SerialisedBody | None = None,
    ) -> Any:
        """Send a request once, without HTTP retries."""
        return parse_response(self._send(method, path, body), response_model)

    def _send(self, method: str, path: str, body: dict[str, Any] | SerialisedBody | None) -> RawResponse:
        """Send a request once, and read the complete response."""
        reset_sent_flag()
        settings, call = self._settings, self._describe(method, path)
        content, substitute_for = _serialise(body)
        try:
            with self.session.request(
                method,
                settings.host + path,
                data=content,
                headers=None if content is None else {"Content-Type": "application/json"},
                timeout=(settings.connect_timeout, settings.read_timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                received = b"".join(iter_body(response, MAX_RESPONSE_BYTES))
        except Exception as error:  # noqa: BLE001  # a response can make a library raise anything
            failure = connection_error(call, error, settings)
        else:
            return RawResponse(
                call, path, response.status_code, response.headers, received, settings.password, substitute_for
            )
        # Outside the handler: the error's context would contain the request, with the API key.
        raise failure

    def _describe(self, method: str, path: str) -> str:
        return f"{method} {path} ({self._name})"


def _serialise(body: dict[str, Any] | SerialisedBody | None) -> tuple[bytes | None, Callable[[str], str] | None]:
    if body is None:
        return None, None
    if isinstance(body, dict):
        return to_json(body, inf_nan_mode="null"), None
    return body.body, body.substitute_for


def _outcome_unknown(call: str, error: BaseException) -> OtpiqOutcomeUnknownError:
    """Make the error of an unknown outcome, and remove the cause's remedy, which may advise a retry."""
    if isinstance(error, OtpiqApiError):
        error.remedy = ""
        what_happened = str(error)
    else:
        what_happened = f"{call} was interrupted by {type(error).__name__}: {sanitize(str(error))}".rstrip(".") + "."
    return OtpiqOutcomeUnknownError(
        f"{what_happened} Whether it took effect is unknown.",
        status_code=getattr(error, "status_code", None),
        server_message=getattr(error, "server_message", None),
    )
