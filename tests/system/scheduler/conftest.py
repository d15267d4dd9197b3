"""One running Airflow for all tests that need a scheduler or its web UI."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from dev.local_airflow import EXAMPLE_DAGS
from dev.running_airflow import RunningAirflow
from tests.conftest import link_dags
from tests.docs.pages import BLOCKS
from tests.system.observing import DASHBOARD, WRONG_KEY
from tests.system.postgresql import postgresql

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from airflow_provider_otpiq.sandbox import Sandbox


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Iterator[RunningAirflow]:
    home = tmp_path_factory.mktemp("scheduler")
    link_dags(home)
    (documented,) = [block.code for block in BLOCKS if '"approved_offer"' in block.code]
    (home / "dags" / "documented.py").write_text(documented.replace('schedule="0 18 * * *"', "schedule=None"))
    for name in ("audience.csv", "team.csv"):
        shutil.copy(EXAMPLE_DAGS / name, home / "dags")
    airflow = RunningAirflow(home, home / "dags")
    airflow.environment["AIRFLOW__CORE__FERNET_KEY"] = Fernet.generate_key().decode()
    address = {"host": running_sandbox.url, "password": running_sandbox.api_key}
    airflow.connect("otpiq_default", **address)
    airflow.connect("otpiq_dashboard", **address, extra={"dashboard_url": DASHBOARD})
    airflow.connect("otpiq_wrong_key", host=running_sandbox.url, password=WRONG_KEY)
    # Below the home, so that `everything_written` finds what a task leaves there.
    airflow.environment["TMPDIR"] = str(home / "temporary")
    (home / "temporary").mkdir()
    airflow.environment["OTPIQ_SKIP_RETRY_WAITS"] = "1"  # a stop would wait for two minutes
    # Airflow retries a task whose supervisor was killed after this many seconds.
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "20"
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL"] = "2"
    is_postgresql = os.environ.get("OTPIQ_TEST_DATABASE") == "postgresql"
    with postgresql(airflow.environment) if is_postgresql else nullcontext(), airflow.running():
        for variable in ("otpiq_name", "otpiq_campaign", "otpiq_campaigns"):
            airflow.api("POST", "/variables", {"key": variable, "value": "none"}).raise_for_status()
        airflow.api("POST", "/pools", {"name": "otpiq", "slots": 3}).raise_for_status()
        yield airflow


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add Airflow's errors to a failed test's report: its home is gone when somebody reads that."""
    report = yield
    airflow = getattr(item, "funcargs", {}).get("airflow")
    if report.failed and airflow:
        lines = airflow.log.read_text(errors="replace").splitlines()
        report.sections.append(("Airflow's errors", "\n".join([line for line in lines if "[error" in line][-20:])))
    return report
