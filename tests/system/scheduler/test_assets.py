"""A DAG that is scheduled on the asset of a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.running_airflow import wait_until

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

CONSUMER = "/dags/scheduled_on_a_campaign"


def test_a_dag_scheduled_on_an_asset_gets_the_campaign_id(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    wait_until(lambda: airflow.api("PATCH", CONSUMER, {"is_paused": False}).ok)
    airflow.finished(airflow.trigger("asset_of_a_campaign"))
    (run,) = wait_until(lambda: airflow.api("GET", f"{CONSUMER}/dagRuns").json()["dag_runs"])
    path = f"{CONSUMER}/dagRuns/{run['dag_run_id']}"
    assert airflow.finished(path) == "success"
    assert airflow.xcom(path, "read") == [campaign["_id"] for campaign in sandbox.campaigns]
