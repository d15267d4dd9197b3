"""
A pytest fixture for the tests of your own DAGs.

In a ``conftest.py``::

    from airflow_provider_otpiq.sandbox.fixtures import otpiq_sandbox
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["otpiq_sandbox"]


@pytest.fixture
def otpiq_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    Run a fresh sandbox for a test, with the connection ``otpiq_default`` leading to it.

    :return: the sandbox.
    """
    with Sandbox() as sandbox:
        connection = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key}
        monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_DEFAULT", json.dumps(connection))
        yield sandbox
