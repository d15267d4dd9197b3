"""The asset events of a real run."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import AIRFLOW_VERSION

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow
    from tests.dag_runner import DagRunner

pytestmark = pytest.mark.system

FILE = Path(__file__).parent / "dags" / "campaigns_of_assets.py"


def test_the_event_of_a_successful_task_contains_its_campaign(
    airflow: LocalAirflow, dag_runner: DagRunner, sandbox: Sandbox
) -> None:
    if AIRFLOW_VERSION.release < (3, 1):  # whose `dag.test()` needs serialized assets
        airflow.run("dags", "reserialize").check_returncode()
    assert dag_runner.run(FILE, "asset_of_a_campaign").state == "failed"  # of its second task
    (campaign,) = sandbox.campaigns
    assert events(airflow, "asset_of_a_campaign") == [("create", {"campaign_id": campaign["_id"]})]


def events(airflow: LocalAirflow, dag_id: str) -> list[tuple[str, object]]:
    table = "asset_event" if AIRFLOW_VERSION.major >= 3 else "dataset_event"
    database = sqlite3.connect(airflow.home / "airflow.db")
    query = f"SELECT source_task_id, extra FROM {table} WHERE source_dag_id = ?"  # noqa: S608
    found = [(task_id, json.loads(extra)) for task_id, extra in database.execute(query, [dag_id])]
    database.close()
    return found
