from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

# Before Airflow is imported: the tests must not see the machine's own Airflow.
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"

import pytest

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASE_URL = "https://api.otpiq.com/api"
API_KEY = "sk_live_0123456789abcdef"


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., OtpiqHook]:
    """Define the connection ``otpiq_default`` and give a hook for it."""

    def connect(**fields: Any) -> OtpiqHook:
        fields = {"conn_type": "otpiq", "password": API_KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_DEFAULT", json.dumps(fields))
        return OtpiqHook()

    return connect


@pytest.fixture
def hook(connect: Callable[..., OtpiqHook]) -> OtpiqHook:
    """A hook for OTPIQ's own address, to be used with requests-mock."""
    return connect()


@pytest.fixture
def sandbox_hook(connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> OtpiqHook:
    return connect(host=sandbox.url, password=sandbox.api_key)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for; the waits themselves take no time."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds
