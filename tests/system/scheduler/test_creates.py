"""A create that is killed, limited, refused, cleared or mapped, where it would happen: under a real scheduler."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy

from dev.running_airflow import wait_until
from tests.system.observing import (
    KEY,
    STORED_KEY,
    WRONG_KEY,
    everything_that_airflow_has_written,
    log_of,
    run_again,
    set_variable,
    the_task,
    wait_for_state,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler


def asked_delay(airflow: RunningAirflow, task: dict[str, Any]) -> float | None:
    """The delay that a retry policy asked for, which only the database shows."""
    url = airflow.run("config", "get-value", "database", "sql_alchemy_conn").stdout.strip().splitlines()[-1]
    query = sqlalchemy.text("SELECT retry_delay_override FROM task_instance WHERE id = :id")
    engine = sqlalchemy.create_engine(url)
    ids = (task["id"], task["id"].replace("-", ""))  # SQLite keeps it without dashes
    with engine.connect() as connection:
        rows = [connection.execute(query, {"id": each}).first() for each in ids]
    engine.dispose()
    delay: float | None = next(row for row in rows if row)[0]
    return delay


def test_a_task_killed_after_the_campaign_was_stored_returns_it(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("killed_after_storing")
    assert airflow.finished(run) == "success"
    assert the_task(airflow, run)["try_number"] == 2
    assert [request["method"] for request in sandbox.requests] == ["POST"]
    (campaign,) = sandbox.campaigns
    assert airflow.xcom(run, "create") == campaign["_id"]
    assert airflow.xcom(run, "create", "campaign")["_id"] == campaign["_id"]


def test_a_task_killed_after_otpiq_stored_the_campaign_and_before_it_did_ends_with_one_in_xcom(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    sandbox.arm("create", delay=20)
    run = airflow.trigger("killed_before_storing")
    wait_until(lambda: sandbox.campaigns)
    os.kill(int((Path(airflow.environment["AIRFLOW_HOME"]) / "process-of-the-task").read_text()), signal.SIGKILL)
    assert airflow.finished(run) == "success"
    assert len(sandbox.requests) == 2
    assert airflow.xcom(run, "create") == sandbox.campaigns[-1]["_id"]
    assert airflow.xcom(run, "create", "campaign")["_id"] == sandbox.campaigns[-1]["_id"]


def test_a_429_waits_without_a_slot_as_long_as_otpiq_asks(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=429, body={"waitMinutes": 50})
    run = airflow.trigger("limited")
    task = wait_for_state(airflow, run, "up_for_retry")
    assert asked_delay(airflow, task) == 3000
    assert airflow.api("GET", "/pools/default_pool").json()["occupied_slots"] == 0
    assert len(sandbox.requests) == 1


def test_the_next_try_comes_when_the_wait_is_over(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    # The hook itself waits out one short 429; the second one is Airflow's.
    sandbox.arm("create", status=429, headers={"Retry-After": "3"}, times=2)
    run = airflow.trigger("limited")
    assert airflow.finished(run) == "success"
    first, second = airflow.api("GET", f"{run}/taskInstances/create/tries").json()["task_instances"]
    waited = datetime.fromisoformat(second["start_date"]) - datetime.fromisoformat(first["end_date"])
    assert waited >= timedelta(seconds=3)
    assert len(sandbox.campaigns) == 1


def test_a_401_fails_at_once_and_leaves_its_retries_unused(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("wrong_key")
    assert airflow.finished(run) == "failed"
    task = the_task(airflow, run)
    assert (task["state"], task["try_number"], task["max_tries"]) == ("failed", 1, 3)
    assert [request["status"] for request in sandbox.requests] == [401]
    assert airflow.xcom(run, "create") is None


def test_a_retry_policy_comes_from_where_it_is_set(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=429, body={"waitMinutes": 55}, times=100)
    run, run_by_default_args = airflow.trigger("policies"), airflow.trigger("policy_of_default_args")
    for task_id, delay in (("default", 3300), ("mapped", 3300), ("none", None)):
        task = wait_for_state(airflow, run, "up_for_retry", task_id)
        assert asked_delay(airflow, task) == delay, task_id
    for task_id in ("of_the_task", "mapped_of_the_task"):
        assert wait_for_state(airflow, run, "failed", task_id)["try_number"] == 1
    assert airflow.finished(run_by_default_args) == "failed"
    assert [task["try_number"] for task in airflow.tasks(run_by_default_args)] == [1, 1]


def test_the_manual_example_with_a_blank_date_saves_a_draft(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    for blank in ({}, {"scheduled_for": None}, {"scheduled_for": ""}):
        sandbox.reset()
        assert airflow.finished(airflow.trigger("example_otpiq_manual", **blank)) == "success"
        assert [campaign["status"] for campaign in sandbox.campaigns] == ["draft"]


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
def test_a_limit_of_the_form_holds_for_the_api_too(
    airflow: RunningAirflow, sandbox: Sandbox, broken: dict[str, Any]
) -> None:
    wait_until(lambda: airflow.api("GET", "/dags/example_otpiq_manual").ok)
    response = airflow.api("POST", "/dags/example_otpiq_manual/dagRuns", {"logical_date": None, "conf": broken})
    assert response.status_code == 400, response.text
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "broken",
    [
        {"scheduled_for": "tomorrow", "schedule_type": "schedule"},  # the API does not keep a format
        {"scheduled_for": "2020-01-01T00:00:00Z", "schedule_type": "schedule"},
        {"schedule_type": "schedule"},
        {"scheduled_for": "2099-01-01T00:00:00Z"},
    ],
)
def test_what_the_form_cannot_check_fails_immediately_and_sends_nothing(
    airflow: RunningAirflow, sandbox: Sandbox, broken: dict[str, Any]
) -> None:
    run = airflow.trigger("example_otpiq_manual", **broken)
    assert airflow.finished(run) == "failed"
    log = log_of(airflow, run, "create")
    assert "OtpiqValidationError" in log
    assert "scheduled_for: " in log
    assert sandbox.requests == []


def test_a_cleared_create_returns_its_campaign_until_its_fields_change(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    run = airflow.trigger("cleared")
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
    assert f"An earlier try created campaign {first}, but name changed since" in log


def test_thirty_mapped_creates_with_one_fault_in_ten_make_thirty_campaigns(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    sandbox.arm("create", status=503)
    sandbox.arm("create", connection="drop")
    sandbox.arm("create", status=500, body={"message": "Internal server error"})
    run = airflow.trigger("thirty_mapped")
    assert airflow.finished(run, 400) == "success"
    assert len(sandbox.requests) == 33
    id_by_name = {campaign["name"]: campaign["_id"] for campaign in sandbox.campaigns}
    assert len(id_by_name) == len(sandbox.campaigns) == 30
    for number in range(30):
        assert airflow.xcom(run, "create", map_index=number) == id_by_name[f"Segment {number}"]


def test_the_keys_are_nowhere_but_in_the_connections(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    stored = json.dumps({"conn_type": "otpiq", "host": sandbox.url, "password": STORED_KEY})
    airflow.run("connections", "add", "otpiq_stored", "--conn-json", stored).check_returncode()
    assert airflow.finished(airflow.trigger("stored_key")) == "failed"
    assert airflow.finished(airflow.trigger("wrong_key")) == "failed"
    assert airflow.finished(airflow.trigger("example_otpiq_manual", name="To be found")) == "success"
    found = "".join(everything_that_airflow_has_written(airflow))
    assert "To be found" in found
    assert "Check the API key" in found
    for key in (KEY, WRONG_KEY, STORED_KEY):
        assert key not in found
