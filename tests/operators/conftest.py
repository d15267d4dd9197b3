from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from tests.fakes import TaskInstance

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook


@pytest.fixture
def dag() -> DAG:
    return DAG("dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"))


@pytest.fixture
def context(dag: DAG, sandbox_hook: OtpiqHook) -> dict[str, Any]:
    return {"ti": TaskInstance(), "dag": dag, "params": {"name": "Autumn"}}
