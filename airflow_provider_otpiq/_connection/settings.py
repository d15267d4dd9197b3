"""
Read and validate an Airflow connection of type ``otpiq``.

The same rules apply to JSON, URIs and the form. A URI splits the base URL into host, port and schema, and its extras
are strings.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, ValidationError

from airflow_provider_otpiq._http.settings import HttpSettings, is_loopback
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list, format_errors
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

DEFAULT_BASE_URL = "https://api.otpiq.com/api"

_PATH = re.compile(r"[\w./-]*", re.ASCII)
_SPACE = re.compile(r"\s")
_CAMPAIGN_ID = "{campaign_id}"
_CHARACTERS_OF_A_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+")


def _dashboard_url(template: str) -> str:
    start, *ends = template.split(_CAMPAIGN_ID)
    with contextlib.suppress(ValueError):
        url = urlsplit(start)
        if (
            len(ends) == 1
            and (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname)))
            and url.hostname
            and url.port != 0
            and url.path.startswith("/")  # so the id is not a part of the host
            and "@" not in url.netloc
            and _CHARACTERS_OF_A_URL.fullmatch(start + ends[0])
        ):
            return template
    raise ValueError(
        f"must be an https URL without a user, with {_CAMPAIGN_ID} exactly once, after the host, such as"
        f" https://dashboard.example.com/campaigns/{_CAMPAIGN_ID}"
    )


def _known(extra: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(sanitize(name) for name in extra if name not in CONNECTION_FIELDS)
    if unknown:
        known = ", ".join(map(repr, sorted(CONNECTION_FIELDS)))
        raise ValueError(f"unknown {', '.join(map(repr, unknown))}; expected {known}")
    return extra


class ConnectionSettings(HttpSettings):
    """The settings of a connection."""

    dashboard_url: Annotated[str, AfterValidator(_dashboard_url)] | None = None
    """The URL of a campaign in OTPIQ's dashboard, with ``{campaign_id}``. None shows no link."""
    extra: Annotated[dict[str, Any], AfterValidator(_known)]
    """The extras, each with a known name. The guard rails are read from here."""

    @classmethod
    def from_connection(cls, connection: Connection) -> ConnectionSettings:
        """
        Read a connection.

        :raises OtpiqConfigurationError: if its type or a field is invalid; the text lists all invalid fields.
        """
        if connection.conn_type != "otpiq":  # OTPIQ must not receive the password of another service
            found = sanitize(str(connection.conn_type))
            raise OtpiqConfigurationError(
                f"Connection {connection.conn_id!r} cannot be used: its type is {found!r}; expected 'otpiq'. Nothing"
                " was sent. Set the id of another connection, or correct this one's type."
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
    return url._replace(scheme="http") if is_loopback(url.hostname) else url
