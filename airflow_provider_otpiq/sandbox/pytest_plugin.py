"""
A pytest plugin for the tests of your own DAGs: the fixture ``otpiq_sandbox``.

pytest loads it in every run, so it imports the sandbox and its dependencies only when a test uses the fixture.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.sandbox import Sandbox

_OPTION = "otpiq_connections"
"""The name of the marker, and of the ini option."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option ``otpiq_connections``."""
    text = "ids of the Airflow connections that point to the sandbox of the fixture otpiq_sandbox"
    parser.addini(_OPTION, text, type="args", default=["otpiq_default"])


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker ``otpiq_connections``."""
    text = "ids of the Airflow connections that point to the sandbox of this test, instead of the ini option's"
    config.addinivalue_line("markers", f"{_OPTION}(*connection_ids): {text}")


@pytest.fixture
def otpiq_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    Run a new sandbox for a test, with Airflow connections that point to it.

    The connections are those of the marker ``otpiq_connections``, or else of the ini option of the same name, or else
    ``otpiq_default``. They are set as environment variables ``AIRFLOW_CONN_…``. ``OTPIQ_SKIP_RETRY_WAITS`` is set to
    ``1``, so that HTTP retries do not wait.

    :return: the sandbox.
    """
    from airflow_provider_otpiq.sandbox import Sandbox

    connection_ids = _connection_ids(request)
    with Sandbox() as sandbox:
        connection = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key}
        for connection_id in connection_ids:
            monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(connection))
        monkeypatch.setenv("OTPIQ_SKIP_RETRY_WAITS", "1")
        yield sandbox


def _connection_ids(request: pytest.FixtureRequest) -> list[str]:
    marker = request.node.get_closest_marker(_OPTION)
    connection_ids = list(marker.args) if marker else request.config.getini(_OPTION)
    if not connection_ids or not all(
        isinstance(connection_id, str) and connection_id for connection_id in connection_ids
    ):
        raise pytest.UsageError(
            f"{_OPTION}: must be one or more connection ids; found {connection_ids!r}. Write it as"
            f' @pytest.mark.{_OPTION}("otpiq_default", "otpiq_marketing").'
        )
    return connection_ids
