"""The link to OTPIQ's dashboard, after a real run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dev.local_airflow import EXAMPLE_DAGS
from tests.conftest import AIRFLOW_VERSION, airflow_in
from tests.dag_runner import DagRunner

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow

pytestmark = pytest.mark.system

FILE = EXAMPLE_DAGS / "example_otpiq_campaign.py"
# As Airflow 2's webserver does, with the serialized DAG.
OF_THE_WEBSERVER = f"""
from airflow.models import DagBag, DagRun
from airflow.serialization.serialized_objects import SerializedDAG

dag = SerializedDAG.from_dict(SerializedDAG.to_dict(DagBag({str(FILE)!r}).get_dag({FILE.stem!r})))
run = max(DagRun.find(dag_id=dag.dag_id), key=lambda run: run.start_date)
print(repr(dag.get_task("create").get_extra_links(run.get_task_instance("create"), "OTPIQ dashboard")))
"""


@pytest.mark.skipif(AIRFLOW_VERSION.major > 2, reason="`make test-browser` tests Airflow 3")
@pytest.mark.parametrize("address", ["https://dashboard.example.com/{campaign_id}", None])
def test_airflow_2_shows_the_link(airflow_home: Path, sandbox: Sandbox, address: str | None) -> None:
    airflow = airflow_in(airflow_home, sandbox)
    extra = {"dashboard_url": address}
    airflow.connect("otpiq_default", host=sandbox.url, password=sandbox.api_key, extra=extra)
    with DagRunner(airflow) as runner:
        assert runner.run(FILE).state == "success"
    (campaign,) = sandbox.campaigns
    assert link(airflow) == repr((address or "").format(campaign_id=campaign["_id"]))


def link(airflow: LocalAirflow) -> str:
    command = [sys.executable, "-c", OF_THE_WEBSERVER]
    shown = subprocess.run(command, env=airflow.environment, capture_output=True, text=True, check=True).stdout
    return shown.splitlines()[-1]


@pytest.mark.usefixtures("sandbox")
def test_a_task_without_a_link_has_no_error_in_its_log(dag_runner: DagRunner) -> None:
    state, log = dag_runner.run(FILE)
    assert state == "success", log
    assert "XCom not found" not in log
