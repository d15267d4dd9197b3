"""The hook: an Airflow connection to OTPIQ, and one method for each of its endpoints."""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError

from airflow_provider_otpiq import __version__
from airflow_provider_otpiq.answers import Answer, accepted
from airflow_provider_otpiq.connection import ConnectionSettings
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqError,
    OtpiqRateLimitError,
    OtpiqServerError,
)
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_otpiq.models import CampaignAnswer, CreateCampaign, ProjectInfo, UpdateCampaign, is_given
from airflow_provider_otpiq.redaction import presentable
from airflow_provider_otpiq.transport import Session

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

_LARGEST_ANSWER = 8 * 1024 * 1024
_LONGEST_PAUSE = 60.0  # seconds in one call; more is Airflow's to wait, which frees the worker slot
_LONGEST_BACKOFF = 8.0
_PAUSE_AFTER_429 = 5.0  # seconds, where OTPIQ does not say how long
_PART = 64 * 1024
_HARMLESS_TO_REPEAT = frozenset({"GET", "PATCH"})


class _BearerAuth(AuthBase):
    """The API key as an auth object: without one, requests would put a key from ``.netrc`` in its place."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


class OtpiqHook(BaseHook):
    """
    Talk to OTPIQ's API with the credentials of an Airflow connection.

    The methods take the API's fields by keyword, in snake_case, and return plain dicts, so that a ``@task``
    function can use them. All calls go over one kept session. A request is repeated within a call, up to the
    connection's ``max_retries`` times, only if it is harmless to repeat (GET, PATCH) or provably had no effect
    (connection refused, 429), and each repeat is logged.

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
    def _session(self) -> requests.Session:
        session = Session()
        # Over plain http, which is for a sandbox, a proxy of the environment would see the API key.
        session.trust_env = not self.settings.host.startswith("http://")
        session.auth = _BearerAuth(self.settings.password.get_secret_value())
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

    def create_campaign(
        self,
        *,
        name: str,
        template_id: str,
        phone_number_id: str,
        schedule_type: str | None = None,
        scheduled_for: object = None,
    ) -> dict[str, Any]:
        """
        Create a campaign without recipients (``POST /whatsapp/campaigns``).

        Never repeated where its outcome is unknown: that would leave a second campaign.

        :param name: its name, 3 to 80 characters.
        :param template_id: the id of its message template, 24 hexadecimal characters.
        :param phone_number_id: the id of the sending number, 24 hexadecimal characters; it must belong to the
            same WhatsApp Business Account as the template.
        :param schedule_type: ``now`` (OTPIQ's default) saves a draft, which is started by hand; ``schedule`` saves
            a campaign that starts by itself at ``scheduled_for``.
        :param scheduled_for: when it starts, required with ``schedule`` and only allowed with it: a datetime or an
            ISO 8601 text, with an offset, in the future.
        :return: the campaign as OTPIQ answers it; its id is ``_id``.
        :raises OtpiqValidationError: if a field breaks a rule; nothing was sent.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = CreateCampaign.checked(
            name=name,
            template_id=template_id,
            phone_number_id=phone_number_id,
            schedule_type=schedule_type,
            scheduled_for=scheduled_for,
        )
        return self._campaign("POST", "/whatsapp/campaigns", request.body())

    def update_campaign(
        self,
        *,
        campaign_id: str,
        name: str | None = None,
        template_id: str | None = None,
        phone_number_id: str | None = None,
        category: str | None = None,
        schedule_type: str | None = None,
        scheduled_for: object = None,
    ) -> dict[str, Any]:
        """
        Edit a campaign that is a draft or scheduled (``PATCH /whatsapp/campaigns/{_id}``).

        Only what is given is changed, and at least one field must be. A campaign that has started cannot be edited.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters; not its ``campaignId``.
        :param name: a new name, 3 to 80 characters.
        :param template_id: the id of another template, 24 hexadecimal characters.
        :param phone_number_id: the id of another sending number, 24 hexadecimal characters.
        :param category: ``MARKETING`` or ``UTILITY``.
        :param schedule_type: ``schedule``, or ``now`` to take the campaign back to a draft without a time.
        :param scheduled_for: a new time to start at: a datetime or an ISO 8601 text, with an offset, in the
            future; not together with ``now``.
        :return: the campaign as OTPIQ answers it.
        :raises OtpiqValidationError: if a field breaks a rule or nothing is changed; nothing was sent.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = UpdateCampaign.checked(
            campaign_id=campaign_id,
            name=name,
            template_id=template_id,
            phone_number_id=phone_number_id,
            category=category,
            schedule_type=schedule_type,
            scheduled_for=scheduled_for,
        )
        return self._campaign("PATCH", f"/whatsapp/campaigns/{request.campaign_id}", request.body())

    def get_project_info(self) -> dict[str, Any]:
        """
        Read the project's name and credit (``GET /info``).

        :return: ``projectName``, and ``credit`` in IQD.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        return self._call("GET", "/info", ProjectInfo)

    def test_connection(self) -> tuple[bool, str]:
        """
        Check the connection with a single ``GET /info``, for the Test button of Airflow's connection form.

        It runs in Airflow's API server, so it never waits for a repeat.

        :return: whether it works, and what a person should know: the project's name and remaining credit, or
            what is wrong.
        """
        try:
            info = accepted(self._send("GET", "/info", None), ProjectInfo)
        except (OtpiqError, AirflowNotFoundException) as error:
            # Airflow tests under a made-up id, which says nothing to anybody.
            return False, str(error).replace(repr(self.otpiq_conn_id), "under test")
        credit = "unknown" if info.get("credit") is None else f"{float(info['credit']):,.0f} IQD"
        return True, f"Connected to OTPIQ project {presentable(info['projectName'])!r}; remaining credit: {credit}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """
        Describe the connection form to Airflow before 3.2, which does not read it from the provider info.

        :return: what provider info says, by the names that these versions use.
        """
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """
        Make the connection form's own fields for Airflow before 3.2.

        :return: a WTForms field for each extra of the connection.
        """
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import BooleanField, IntegerField, StringField
        from wtforms.validators import Optional

        def widget(field: dict[str, Any]) -> Any:
            schema = field["schema"]
            labels = {"label": field["label"], "description": field["description"]}
            if "boolean" in schema["type"]:
                return BooleanField(**labels, default=schema["default"])
            shape = {"validators": [Optional()], "widget": BS3TextFieldWidget()}
            if "integer" in schema["type"]:
                return IntegerField(**labels, **shape, default=schema["default"])
            return StringField(**labels, **shape, default=str(schema["default"]))

        return {name: widget(field) for name, field in CONNECTION_FIELDS.items()}

    def _campaign(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        campaign: dict[str, Any] = self._call(method, path, CampaignAnswer, body)["data"]
        return campaign

    def _call(
        self, method: str, path: str, model: type[BaseModel], body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request, repeat it where that is allowed, and return the answer's body."""
        repeat, paused, rate_limited = 0, 0.0, False
        while True:
            try:
                return accepted(self._send(method, path, body), model)
            except OtpiqApiError as error:
                pause = _pause_before_repeat(method, error, repeat)
                second_429 = rate_limited and isinstance(error, OtpiqRateLimitError)
                if second_429 or paused + pause > _LONGEST_PAUSE or repeat >= self.settings.max_retries:
                    raise
                rate_limited = rate_limited or isinstance(error, OtpiqRateLimitError)
                self.log.warning("%s The same call repeats the request in %.0f s.", error, pause)
            time.sleep(pause)
            repeat, paused = repeat + 1, paused + pause

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        """Send a request once, and read the answer whole."""
        settings = self.settings
        call = f"{method} {path} (connection {self.otpiq_conn_id!r})"
        try:
            with self.get_conn().request(
                method,
                settings.host + path,
                json=body,
                timeout=(settings.connect_timeout, settings.read_timeout),
                stream=True,
                allow_redirects=False,
            ) as response:
                content = _read_whole(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            failure = _no_answer(call, error, settings.password)
        else:
            if content is not None:
                return Answer(call, response.status_code, response.headers, content, settings.password)
            failure = _too_large(call)
        # Outside of the handler: the error's context would hold the request, and with it the API key.
        raise failure


def _pause_before_repeat(method: str, error: OtpiqApiError, repeat: int) -> float:
    """Tell how many seconds to wait before a request may be repeated; infinity where it may not be."""
    broken = isinstance(error, OtpiqConnectionError | OtpiqServerError)
    if not error.never_processed and not (broken and method in _HARMLESS_TO_REPEAT):
        return math.inf
    if error.retry_after is not None:
        return error.retry_after
    return _PAUSE_AFTER_429 if isinstance(error, OtpiqRateLimitError) else min(2.0**repeat, _LONGEST_BACKOFF)


def _read_whole(response: requests.Response) -> bytes | None:
    """Read an answer; None if it is far too large."""
    content = bytearray()
    for part in response.iter_content(_PART):
        content += part
        if len(content) > _LARGEST_ANSWER:
            return None
    return bytes(content)


def _no_answer(call: str, error: Exception, api_key: SecretStr) -> OtpiqError:
    reason = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)  # of urllib3's MaxRetryError
    reason = getattr(reason, "original_error", reason)  # of its ProxyError
    said = presentable(str(reason.args[-1] if getattr(reason, "args", None) else reason), api_key).rstrip(".")
    if isinstance(reason, SSLError) and "CERTIFICATE_VERIFY_FAILED" in said:
        return OtpiqConfigurationError(
            f"{call} was not sent, as the server's certificate is not to be trusted: {said}. Check the connection's"
            " host; for a certificate authority of your own, set REQUESTS_CA_BUNDLE on the workers."
        )
    if isinstance(error, requests.RequestException) and isinstance(error, ValueError):  # InvalidURL and its kin
        return OtpiqConfigurationError(f"{call} could not even be sent: {said}. Check the connection's host.")
    return OtpiqConnectionError(
        f"{call} got no whole answer: {said}. {OtpiqConnectionError.remedy}",
        never_processed=isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError),
    )


def _too_large(call: str) -> OtpiqConnectionError:
    return OtpiqConnectionError(
        f"{call} got an answer of more than {_LARGEST_ANSWER} bytes, which was not read. {OtpiqConnectionError.remedy}"
    )
