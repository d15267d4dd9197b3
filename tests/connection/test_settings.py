import json
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.common.compat.sdk import Connection
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS

KEY = "sk_live_0123"


def from_json(**fields: Any) -> Connection:
    extra = fields.pop("extra", None)
    return Connection(
        conn_id="c",
        conn_type="otpiq",
        **({"password": KEY} | fields),
        extra=extra if extra is None or isinstance(extra, str) else json.dumps(extra),
    )


def from_uri(uri: str) -> Any:
    if hasattr(Connection, "from_uri"):
        return Connection.from_uri(uri, conn_id="c")
    # Airflow before 3.1 reads a URI here, whatever class the hook then gets.
    from airflow.models.connection import Connection as ConnectionOfTheDatabase

    return ConnectionOfTheDatabase(conn_id="c", uri=uri)


@pytest.mark.parametrize("kind", ["slack", "OTPIQ", None])
def test_a_connection_of_another_type_is_refused(kind: Any, snapshot: SnapshotAssertion) -> None:
    extra = json.dumps({"warehouse": "x"})
    connection = Connection(conn_id="c", conn_type=kind or "x", password="xoxb-secret", extra=extra)
    connection.conn_type = kind
    with pytest.raises(OtpiqConfigurationError) as caught:
        ConnectionSettings.from_connection(connection)
    assert str(caught.value) == snapshot


@pytest.mark.parametrize(
    ("connection", "base_url"),
    [
        # JSON, and the form, which sends empty strings and sometimes port 0 for what is left blank
        (from_json(), "https://api.otpiq.com/api"),
        (from_json(host="", schema="", port=0, login=""), "https://api.otpiq.com/api"),
        (from_json(port=443), "https://api.otpiq.com:443/api"),  # as the Test button of Airflow 3.3.2 needs it
        (from_json(host=" https://api.otpiq.com/api/ "), "https://api.otpiq.com/api"),
        (from_json(host="https://api.otpiq.com/api", port=8443), "https://api.otpiq.com:8443/api"),
        (from_json(host="https://api.otpiq.com:8443/api", port=8443), "https://api.otpiq.com:8443/api"),
        (from_json(host="api.otpiq.com/api"), "https://api.otpiq.com/api"),
        (from_json(host="api.otpiq.com", schema="/api/", port=8443), "https://api.otpiq.com:8443/api"),
        (from_json(host="localhost:8484/api", password=f" {KEY}\n"), "http://localhost:8484/api"),
        (from_json(host="127.0.0.1", port=8484, schema="api"), "http://127.0.0.1:8484/api"),
        (from_json(host="127.9.9.9/api"), "http://127.9.9.9/api"),
        (from_json(host="::1", port=8484, schema="api"), "http://[::1]:8484/api"),
        (from_json(host="[::1]:8484/api"), "http://[::1]:8484/api"),
        (from_json(host="https://localhost/api"), "https://localhost/api"),
        (from_json(host="http://sandbox:8484/api", extra={"allow_insecure_http": True}), "http://sandbox:8484/api"),
        # URI
        (from_uri(f"otpiq://:{KEY}@/?max_retries=0"), "https://api.otpiq.com/api"),
        (from_uri(f"otpiq://:{KEY}@api.otpiq.com:8443/api"), "https://api.otpiq.com:8443/api"),
        (from_uri(f"otpiq://https://:{KEY}@api.otpiq.com/api"), "https://api.otpiq.com/api"),
        (from_uri(f"otpiq://:{KEY}@https%3A%2F%2Fapi.otpiq.com%2Fapi"), "https://api.otpiq.com/api"),
        (from_uri(f"otpiq://http://:{KEY}@localhost:8484/api"), "http://localhost:8484/api"),
        (from_uri(f"otpiq://http://:{KEY}@sandbox:8484/api?allow_insecure_http=true"), "http://sandbox:8484/api"),
    ],
    ids=repr,
)
def test_the_base_url_is_built_the_same_for_json_uri_and_form(connection: Connection, base_url: str) -> None:
    settings = ConnectionSettings.from_connection(connection)
    assert settings.host == base_url
    assert settings.password.get_secret_value() == KEY


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (from_json(), (5, 30, 2, False)),
        (from_json(extra={"connect_timeout": None, "read_timeout": "", "max_retries": None}), (5, 30, 2, False)),
        (from_json(extra={"connect_timeout": 0.5, "read_timeout": 60, "max_retries": 0}), (0.5, 60, 0, False)),
        (from_uri(f"otpiq://:{KEY}@/?connect_timeout=2.5&read_timeout=60&max_retries=0"), (2.5, 60, 0, False)),
        (from_uri(f"otpiq://:{KEY}@/?allow_insecure_http=false&max_retries="), (5, 30, 2, False)),
        (from_uri(f"otpiq://:{KEY}@/?__extra__=%7B%22max_retries%22%3A+1%7D"), (5, 30, 1, False)),
    ],
    ids=repr,
)
def test_extras_are_the_same_as_json_and_as_strings(connection: Connection, expected: tuple[Any, ...]) -> None:
    settings = ConnectionSettings.from_connection(connection)
    found = (settings.connect_timeout, settings.read_timeout, settings.max_retries, settings.allow_insecure_http)
    assert found == expected


@pytest.mark.parametrize(
    "fields",
    [
        *({"password": key} for key in (None, " \n", "sk_live_a b", "sk_live_ключ")),
        *(
            {"host": host}
            for host in (
                "http://api.otpiq.com/api", "http://localhost.example.com", "http://10.0.0.5:8484/api",
                "http://sk_live_0123456789", "http://[", "ftp://api.otpiq.com", "https://", "https:/api.otpiq.com",
                "https://api.otpiq.com:99999", "https://api.otpiq.com:port", "api otpiq.com",
                "https://user:sk_live_9@api.otpiq.com", "http://localhost@example.com/",
                "https://api.otpiq.com/api?key=sk_live_9",
            )
        ),
        {"host": "https://api.otpiq.com:8443", "port": 443},
        {"host": "", "schema": "api"},
        {"port": 99999, "host": "api.otpiq.com"},
        {"port": -5, "host": "api.otpiq.com"},
        {"schema": "api?x=1", "host": "api.otpiq.com"},
        {"extra": "not json"},
        {"extra": [1]},
        {"extra": {"timeout": 5}},
        {"extra": {"sk_live_0123456789": None}},
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_is_refused_without_showing_a_key(fields: dict[str, Any], snapshot: SnapshotAssertion) -> None:
    (error,) = refused(from_json(**fields))
    assert error.startswith(f"{next(iter(fields))}: ")
    assert error == snapshot


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("read_timeout", value) for value in (0, "soon", 601)),
        *(("connect_timeout", value) for value in (float("inf"), 61)),
        *(("max_retries", value) for value in (-1, 1.5, 11)),
        ("allow_insecure_http", "perhaps"),
    ],
)
def test_an_invalid_extra_is_refused(name: str, value: Any) -> None:
    (error,) = refused(from_json(extra={name: value}))
    assert error.startswith(f"{name}: ")


def refused(connection: Connection) -> list[str]:
    """The errors of a connection, none of which shows a key."""
    with pytest.raises(OtpiqConfigurationError) as caught:
        ConnectionSettings.from_connection(connection)
    shown = f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert KEY not in shown
    assert "sk_live_" not in shown.replace("(sk_live… or sk_dev…)", "")
    summary, *errors = str(caught.value).split("\n  - ")
    assert summary == "Connection 'c' cannot be used, and nothing was sent:"
    return errors


def test_all_errors_are_listed() -> None:
    extra = {"who": "staff", "07701234567": 1, "max_retries": "x", "read_timeout": "y"}
    errors = refused(from_json(password="", extra=extra))
    assert [error.partition(":")[0] for error in errors] == ["read_timeout", "max_retries", "password", "extra"]
    assert "unknown '0770•••4567', 'who'; " in errors[-1]


UNKNOWN: list[dict[str, Any]] = [
    {"permitted": ["964770"]},
    {"extra__otpiq__max_retries": 1},  # Airflow 2.11 reads such names into its form, and saves them without the prefix
    {"unknown": None},
    {"": ""},
]


@pytest.mark.parametrize("extra", UNKNOWN, ids=str)
def test_an_unknown_extra_is_an_error_that_lists_the_known_ones(extra: dict[str, Any]) -> None:
    (error,) = refused(from_json(extra={"read_timeout": 5, **extra}))
    (name,) = extra
    assert error == f"extra: unknown {name!r}; expected {', '.join(map(repr, sorted(CONNECTION_FIELDS)))}"


def test_the_settings_never_show_the_key() -> None:
    settings = ConnectionSettings.from_connection(from_json())
    assert KEY not in f"{settings} {settings!r} {settings.model_dump()}"


DASHBOARD = "https://dashboard.example.com/campaigns/{campaign_id}"


@pytest.mark.parametrize(
    "template",
    [
        DASHBOARD,
        "https://dashboard.example.com:8443/#/campaigns?id={campaign_id}&tab=all",
        "http://[::1]:8484/{campaign_id}",
    ],
)
def test_the_dashboards_url_is_the_same_in_json_and_in_a_uri(template: str) -> None:
    for connection in (
        from_json(extra={"dashboard_url": template}),
        from_uri(f"otpiq://:{KEY}@/?dashboard_url={quote(template, safe='')}"),
    ):
        assert ConnectionSettings.from_connection(connection).dashboard_url == template


@pytest.mark.parametrize(
    "template",
    [
        "https://dashboard.example.com/campaigns", "https://dashboard.example.com/{campaign_id}/{campaign_id}",
        "https://dashboard.example.com/{campaign_id}/{other}", "https://dashboard.example.com/{campaign_id}/{",
        "https://dashboard.example.com/{campaign_id!r}", "https://dashboard.example.com/{{campaign_id}}",
        "https://{campaign_id}.example.com/", "https://dashboard.example.com:{campaign_id}/",
        "https://dashboard.example.com:99999/{campaign_id}", "http://dashboard.example.com/{campaign_id}",
        "https://user:secret@dashboard.example.com/{campaign_id}", "https:///{campaign_id}",
        "https://[::1/{campaign_id}", "/{campaign_id}", "javascript://dashboard.example.com/%0aalert(1)/{campaign_id}",
        "https://dashboard.example.com/a b/{campaign_id}", 'https://dashboard.example.com/"{campaign_id}',
        "https://dashboard.example.com\\@evil.example.com/{campaign_id}", 5,
    ],
)  # fmt: skip
def test_an_invalid_url_of_the_dashboard_is_an_error_that_does_not_repeat_it(template: object) -> None:
    (error,) = refused(from_json(extra={"dashboard_url": template}))
    assert error.startswith("dashboard_url: must be ")
    assert "secret" not in error


def test_the_error_describes_the_dashboards_url(snapshot: SnapshotAssertion) -> None:
    assert refused(from_json(extra={"dashboard_url": "https://example.com"})) == snapshot
