"""
Read and validate an Airflow connection of type ``otpiq``.

The same rules apply to JSON, URIs and the form. A URI splits the base URL into host, port and schema, and its extras
are strings.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from airflow_provider_otpiq._http.settings import HttpSettings
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list, format_errors
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

CONNECTION_TYPE = "otpiq"
DEFAULT_BASE_URL = "https://api.otpiq.com/api"

_PATH = re.compile(r"[\w./-]*", re.ASCII)
_SPACE = re.compile(r"\s")
_CAMPAIGN_ID = "{campaign_id}"
_CHARACTERS_OF_A_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+")

Seconds = Annotated[float, Field(ge=0.1, allow_inf_nan=False)]


def _api_key(value: Any) -> str:
    key = str(value or "").strip()
    if not key:
        raise ValueError("is empty; set the project's API key (sk_live… or sk_dev…)")
    # The text of requests' InvalidHeader error would contain such a key, and Airflow does not mask it there.
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("has whitespace or characters that an API key cannot have; copy the key again")
    return key


def _dashboard_url(template: str) -> str:
    start, *ends = template.split(_CAMPAIGN_ID)
    try:
        url = urlsplit(start)
        has_valid_port = url.port != 0
    except ValueError:
        has_valid_port = False
    if not (
        len(ends) == 1
        and has_valid_port
        and (url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname)))
        and url.hostname
        and url.path.startswith("/")  # so the id is not a part of the host
        and "@" not in url.netloc
        and _CHARACTERS_OF_A_URL.fullmatch(start + ends[0])
    ):
        raise ValueError(
            f"must be an https URL without a user, with {_CAMPAIGN_ID} exactly once, after the host, such as"
            f" https://dashboard.example.com/campaigns/{_CAMPAIGN_ID}"
        )
    return template


def _known(extra: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(sanitize(name) for name in extra if name not in CONNECTION_FIELDS)
    if unknown:
        known = ", ".join(map(repr, sorted(CONNECTION_FIELDS)))
        raise ValueError(f"unknown {', '.join(map(repr, unknown))}; expected {known}")
    return extra


class ConnectionSettings(BaseModel):
    """The settings of a connection."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    connect_timeout: Annotated[Seconds, Field(le=60)] = 5.0
    """Seconds to wait for a connection."""
    read_timeout: Annotated[Seconds, Field(le=600)] = 30.0
    """Seconds to wait for each part of a response."""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How many HTTP retries one call may make; only idempotent or provably unprocessed requests are retried."""
    allow_insecure_http: bool = False
    """Whether the API key may be sent over plain http to another machine."""
    dashboard_url: Annotated[str, AfterValidator(_dashboard_url)] | None = None
    """The URL of a campaign in OTPIQ's dashboard, with ``{campaign_id}``. None shows no link."""

    password: Annotated[SecretStr, BeforeValidator(_api_key)]
    """The API key."""
    host: str
    """The base URL of all calls, without a trailing slash."""
    extra: Annotated[dict[str, Any], AfterValidator(_known)]
    """The extras, each with a known name. The guard rails are read from here."""

    @field_validator("host")
    @classmethod
    def _require_encryption(cls, host: str, info: ValidationInfo) -> str:
        url = urlsplit(host)
        if url.scheme == "http" and not _is_loopback(url.hostname) and not info.data.get("allow_insecure_http"):
            raise ValueError(
                f"{sanitize(host)} would send the API key unencrypted; use https, or set the extra"
                " allow_insecure_http for a sandbox in your own network"
            )
        return host

    @property
    def http(self) -> HttpSettings:
        """The settings of the HTTP client."""
        return HttpSettings(self.host, self.password, self.connect_timeout, self.read_timeout, self.max_retries)

    def __reduce__(self) -> NoReturn:
        raise TypeError("the settings of a connection contain its API key and cannot be pickled")

    @classmethod
    def from_connection(cls, connection: Connection) -> ConnectionSettings:
        """
        Read a connection.

        :raises OtpiqConfigurationError: if its type or a field is invalid; the text lists all invalid fields.
        """
        if connection.conn_type != CONNECTION_TYPE:  # OTPIQ must not receive the password of another service
            found = sanitize(str(connection.conn_type))
            raise OtpiqConfigurationError(
                f"Connection {connection.conn_id!r} cannot be used: its type is {found!r}; expected"
                f" {CONNECTION_TYPE!r}. Nothing was sent. Set the id of another connection, or correct this one's type."
            )
        try:
            extra = _extra(connection)
            fields = {name: value for name, value in extra.items() if value not in (None, "")}
            fields |= {"host": base_url(connection), "password": connection.password, "extra": extra}
            return cls.model_validate(fields)
        except ValidationError as error:
            errors = format_errors(error)
        except ValueError as error:
            errors = [str(error)]
        raise OtpiqConfigurationError(
            f"Connection {connection.conn_id!r} cannot be used, and nothing was sent:" + bullet_list(errors)
        )


def base_url(connection: Connection) -> str:
    """
    Build the base URL from a connection's host, port and schema.

    A host without a scheme gets https, or http on a loopback address. The port is added unless it is empty or 0, and
    the schema is appended to the path. Without a host and a schema it is OTPIQ's own API.

    :raises ValueError: if the result is not an http or https URL.
    """
    host, port, path = (connection.host or "").strip(), connection.port or None, connection.schema or ""
    url, own_port = _split(host if host or path else DEFAULT_BASE_URL)
    if port and own_port not in (None, port):
        raise ValueError(f"host: has port {own_port}, but the port field is {port}; set only one of them")
    if port and not 0 < port < 2**16:
        raise ValueError(f"port: must be 1 to 65535, or empty; found {port}")
    if not _PATH.fullmatch(path):
        raise ValueError("schema: must be the path of the base URL, such as api, or empty")
    netloc = f"{url.netloc}:{port}" if port and own_port is None else url.netloc
    return "/".join(part for part in (f"{url.scheme}://{netloc}", url.path.strip("/"), path.strip("/")) if part)


def _extra(connection: Connection) -> dict[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")  # Airflow's `extra_dejson` ignores invalid JSON
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ValueError('extra: must be a JSON object such as {"read_timeout": 30}')
    return extra


def _split(host: str) -> tuple[SplitResult, int | None]:
    try:
        url = _with_scheme(host)
        port = url.port
    except ValueError:  # its text would repeat the value, which may be a key in the wrong field
        url, port = SplitResult("", "", "", "", ""), None
    if url.scheme not in ("http", "https") or not url.hostname or url.netloc.endswith(":") or _SPACE.search(host):
        raise ValueError(f"host: must be an http or https URL such as {DEFAULT_BASE_URL}, or empty")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError("host: must not contain a user, a key, a query or a fragment; set the API key as the password")
    return url, port


def _with_scheme(host: str) -> SplitResult:
    if "://" in host:
        return urlsplit(host)
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"  # an IPv6 address
    url = urlsplit(f"https://{host}")
    return url._replace(scheme="http") if _is_loopback(url.hostname) else url


def _is_loopback(hostname: str | None) -> bool:
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname or "").is_loopback
    except ValueError:
        return False
