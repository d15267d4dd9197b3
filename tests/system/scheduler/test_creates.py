"""Creates under a real scheduler: killed, rate limited, refused, cleared and mapped, and their assets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import sqlalchemy

from dev.running_airflow import wait_until
from tests.listening import LOOPBACK, listening
from tests.system.observing import (
    WRONG_KEY,
    database,
    everything_written,
    ids_in_database,
    kill_task,
    log_of,
    run_again,
    set_variable,
    task_of,
    wait_for_state,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

CONSUMER = "/dags/scheduled_on_a_campaign"


def requested_delay(airflow: RunningAirflow, task: dict[str, Any]) -> float | None:
    """Return the delay that a retry policy requested; only the database contains it."""
    query = sqlalchemy.text("SELECT retry_delay_override FROM task_instance WHERE CAST(id AS VARCHAR) IN (:id, :hex)")
    with database(airflow) as connection:
        delay: float | None = connection.execute(query, ids_in_database(task)).scalar_one()
    return delay


def test_a_retry_returns_the_campaign_that_a_killed_try_saved(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("create_killed")
    assert airflow.finished(run) == "success"
    assert task_of(airflow, run)["try_number"] == 2
    assert [request["method"] for request in sandbox.requests] == ["POST"]
    (campaign,) = sandbox.campaigns
    assert airflow.xcom(run, "create") == campaign["_id"]
    assert airflow.xcom(run, "create", "campaign")["_id"] == campaign["_id"]


def test_a_retry_creates_another_campaign_if_the_killed_try_saved_none(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    sandbox.arm("create", delay=20)
    run = airflow.trigger("create")
    wait_until(lambda: sandbox.campaigns)
    kill_task(airflow, run, "create")
    assert airflow.finished(run) == "success"
    assert len(sandbox.requests) == 2
    assert airflow.xcom(run, "create") == sandbox.campaigns[-1]["_id"]
    assert airflow.xcom(run, "create", "campaign")["_id"] == sandbox.campaigns[-1]["_id"]


def test_the_next_try_starts_after_the_wait(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    # The hook waits out the first 429, Airflow the second.
    sandbox.arm("create", status=429, headers={"Retry-After": "3"}, times=2)
    run = airflow.trigger("create")
    assert airflow.finished(run) == "success"
    first, second = airflow.api("GET", f"{run}/taskInstances/create/tries").json()["task_instances"]
    waited = datetime.fromisoformat(second["start_date"]) - datetime.fromisoformat(first["end_date"])
    assert waited >= timedelta(seconds=3)
    assert len(sandbox.campaigns) == 1


def test_a_401_fails_without_a_retry(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("create", otpiq_conn_id="otpiq_wrong_key")
    assert airflow.finished(run) == "failed"
    task = task_of(airflow, run)
    assert (task["state"], task["try_number"], task["max_tries"]) == ("failed", 1, 3)
    assert [request["status"] for request in sandbox.requests] == [401]
    assert airflow.xcom(run, "create") is None


def test_a_retry_policy_can_be_set_at_each_level(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=429, body={"waitMinutes": 55}, times=100)
    run, run_by_default_args = airflow.trigger("policies"), airflow.trigger("policy_of_default_args")
    for task_id, delay in (("default", 3300), ("mapped", 3300), ("none", None)):
        task = wait_for_state(airflow, run, "up_for_retry", task_id)
        assert requested_delay(airflow, task) == delay, task_id
    for task_id in ("of_the_task", "mapped_of_the_task"):
        assert wait_for_state(airflow, run, "failed", task_id)["try_number"] == 1
    assert airflow.finished(run_by_default_args) == "failed"
    assert [task["try_number"] for task in airflow.tasks(run_by_default_args)] == [1, 1]
    assert airflow.api("GET", "/pools/default_pool").json()["occupied_slots"] == 0  # during the wait


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "ab"},
        {"name": "x" * 81},
        {"name": None},
        {"template_id": "6" * 23},
        {"phone_number_id": "../../sms"},
        {"schedule_type": "later"},
        {"scheduled_for": 5},
    ],
)
def test_the_api_checks_the_limits_of_the_form(
    airflow: RunningAirflow, sandbox: Sandbox, broken: dict[str, Any]
) -> None:
    wait_until(lambda: airflow.api("GET", "/dags/example_otpiq_manual").ok)
    response = airflow.api("POST", "/dags/example_otpiq_manual/dagRuns", {"logical_date": None, "conf": broken})
    assert response.status_code == 400, response.text
    assert sandbox.requests == []


def test_a_cleared_create_returns_its_campaign_until_its_fields_change(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    set_variable(airflow, "otpiq_name", "First")
    run = airflow.trigger("create")
    assert airflow.finished(run) == "success"
    first = airflow.xcom(run, "create")
    run_again(airflow, run, "create")
    assert airflow.xcom(run, "create") == first
    assert len(sandbox.requests) == 1
    set_variable(airflow, "otpiq_name", "Second")
    run_again(airflow, run, "create")
    second = airflow.xcom(run, "create")
    assert second != first
    assert [campaign["name"] for campaign in sandbox.campaigns] == ["First", "Second"]
    log = log_of(airflow, run, "create", 3)
    assert f"An earlier try created campaign {first} with other values of name" in log


def test_ten_mapped_creates_with_three_faults_create_ten_campaigns(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=503)
    sandbox.arm("create", connection="drop")
    sandbox.arm("create", status=500, body={"message": "Internal server error"})
    run = airflow.trigger("create_mapped")
    assert airflow.finished(run) == "success"
    assert len(sandbox.requests) == 13
    id_by_name = {campaign["name"]: campaign["_id"] for campaign in sandbox.campaigns}
    assert len(id_by_name) == len(sandbox.campaigns) == 10
    for number in range(10):
        assert airflow.xcom(run, "create", map_index=number) == id_by_name[f"Segment {number}"]


def test_only_the_connections_contain_the_keys(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    stored_key = "sk_live_stored_and_never_to_be_seen"
    stored = {"connection_id": "otpiq_stored", "conn_type": "otpiq", "host": sandbox.url, "password": stored_key}
    airflow.api("POST", "/connections", stored).raise_for_status()
    for connection_id in ("otpiq_stored", "otpiq_wrong_key"):
        assert airflow.finished(airflow.trigger("create", otpiq_conn_id=connection_id)) == "failed"
    assert airflow.finished(airflow.trigger("example_otpiq_manual", name="To be found")) == "success"
    found = "".join(everything_written(airflow))
    assert "To be found" in found
    assert "Check the API key" in found
    for key in (sandbox.api_key, WRONG_KEY, stored_key):
        assert key not in found


def test_a_dag_scheduled_on_an_asset_gets_the_campaign_id(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    wait_until(lambda: airflow.api("PATCH", CONSUMER, {"is_paused": False}).ok)
    airflow.finished(airflow.trigger("asset_of_a_campaign"))
    (run,) = wait_until(lambda: airflow.api("GET", f"{CONSUMER}/dagRuns").json()["dag_runs"])
    path = f"{CONSUMER}/dagRuns/{run['dag_run_id']}"
    assert airflow.finished(path) == "success"
    assert airflow.xcom(path, "read") == [campaign["_id"] for campaign in sandbox.campaigns]


def test_airflow_and_its_database_listen_on_loopback_only(airflow: RunningAirflow) -> None:
    processes = airflow.processes()
    if postmaster := airflow.environment.get("OTPIQ_TEST_POSTMASTER"):
        processes.append(psutil.Process(int(postmaster)))
    found = listening(processes)
    assert ("127.0.0.1", airflow.port) in found
    assert {host for host, _ in found} <= LOOPBACK
