"""Whole campaigns under a real scheduler: attached, sampled, approved and started, with faults."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pendulum
import pytest
import requests

from airflow_provider_otpiq._models.phone_numbers import normalize
from dev.local_airflow import EXAMPLE_DAGS
from dev.running_airflow import wait_until
from tests.system.observing import (
    delete_pending_marker,
    everything_written,
    kill_task,
    log_of,
    requests_of,
    run_again,
    set_variable,
    task_of,
    wait_for_state,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

IDS = {"templateId": "665f1c2ab3d4e5f601234567", "phoneNumberId": "665f1c2ab3d4e5f601234568"}


@pytest.fixture
def campaign_id(sandbox: Sandbox) -> str:
    return new_campaign(sandbox)


def new_campaign(sandbox: Sandbox, recipients: int = 1) -> str:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = f"{sandbox.url}/whatsapp/campaigns"
    made = requests.post(url, json={"name": "Summer", **IDS}, headers=headers, timeout=10).json()["data"]
    recipient = {"phoneNumber": "9647901112222", "templateParameters": {"body": {"1": "Ali"}}}
    if recipients:
        body = {"recipients": [recipient]}
        requests.post(f"{url}/{made['_id']}/recipients", json=body, headers=headers, timeout=10).raise_for_status()
    return str(made["_id"])


def statuses(sandbox: Sandbox) -> list[str]:
    return [campaign["status"] for campaign in sandbox.campaigns]


@pytest.mark.parametrize("action", ["start", "sample"])
def test_a_lost_response_is_an_unknown_outcome_and_is_not_sent_again(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str, action: str
) -> None:
    sandbox.arm(action, when="after", connection="drop")
    run = airflow.trigger(action, campaign_id=campaign_id)
    assert airflow.finished(run) == "failed"
    assert task_of(airflow, run, action)["try_number"] == 1
    assert "OtpiqOutcomeUnknownError" in log_of(airflow, run, action)
    run_again(airflow, run, action)
    assert task_of(airflow, run, action)["state"] == "failed"
    assert "This try sent nothing" in log_of(airflow, run, action, 2)
    assert len(requests_of(sandbox, action)) == 1


def test_the_request_that_the_error_names_allows_another_try(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("start", connection="drop")
    run = airflow.trigger("start", campaign_id=campaign_id)
    assert airflow.finished(run) == "failed"
    log = log_of(airflow, run, "start")
    delete_pending_marker(airflow, log)
    run_again(airflow, run, "start")
    assert task_of(airflow, run, "start")["state"] == "success"
    assert airflow.xcom(run, "start") == campaign_id
    assert airflow.xcom(run, "start", "campaign")["_id"] == campaign_id


def test_a_start_that_times_out_is_an_unknown_outcome_and_is_sent_once(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("start", delay=25)
    run = airflow.trigger("start_cut_off", campaign_id=campaign_id)
    assert airflow.finished(run) == "failed"
    assert task_of(airflow, run, "start")["try_number"] == 1
    log = log_of(airflow, run, "start")
    assert "OtpiqOutcomeUnknownError" in log
    assert "AirflowTaskTimeout" in log
    assert len(requests_of(sandbox, "start")) == 1


def test_a_killed_start_is_an_unknown_outcome_and_is_sent_once(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("start", delay=25)
    run = airflow.trigger("start", campaign_id=campaign_id)
    wait_until(lambda: requests_of(sandbox, "start"))
    kill_task(airflow, run, "start")
    assert airflow.finished(run) == "failed"
    task = task_of(airflow, run, "start")
    assert (task["try_number"], task["max_tries"]) == (2, 3)
    assert "This try sent nothing: an earlier try" in log_of(airflow, run, "start", 2)
    assert len(requests_of(sandbox, "start")) == 1


def test_a_start_killed_after_its_success_is_not_sent_again(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str
) -> None:
    run = airflow.trigger("start_killed", campaign_id=campaign_id)
    assert airflow.finished(run) == "success"
    assert task_of(airflow, run, "start")["try_number"] == 2
    assert airflow.xcom(run, "start") == campaign_id
    assert len(requests_of(sandbox, "start")) == 1


def test_a_cleared_start_starts_only_another_campaign(
    airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str
) -> None:
    set_variable(airflow, "otpiq_campaign", campaign_id)
    run = airflow.trigger("start")
    assert airflow.finished(run) == "success"
    run_again(airflow, run, "start")
    assert len(requests_of(sandbox, "start")) == 1
    other = new_campaign(sandbox)
    set_variable(airflow, "otpiq_campaign", other)
    run_again(airflow, run, "start")
    assert len(requests_of(sandbox, "start")) == 2
    assert airflow.xcom(run, "start") == other
    assert "draft" not in statuses(sandbox)


def test_a_cleared_mapped_sample_with_reordered_input_is_not_sent_again(
    airflow: RunningAirflow, sandbox: Sandbox
) -> None:
    first, second = new_campaign(sandbox), new_campaign(sandbox)
    set_variable(airflow, "otpiq_campaigns", f"{first} {second}")
    run = airflow.trigger("sample_mapped")
    assert airflow.finished(run) == "success"
    for changed in (f"{second} {first}", second):
        set_variable(airflow, "otpiq_campaigns", changed)
        run_again(airflow, run, "campaigns", "sample")
        assert airflow.api("GET", run).json()["state"] == "failed"
    log = log_of(airflow, run, "sample", try_number=3, map_index=0)
    assert f"index 0 has the state of campaign {first}" in log
    assert len(requests_of(sandbox, "sample")) == 2


def test_an_attach_whose_response_is_lost_attaches_each_number_once(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    empty = new_campaign(sandbox, recipients=0)
    sandbox.arm("attach", when="after", connection="drop")
    run = airflow.trigger("attach", campaign_id=empty)
    assert airflow.finished(run) == "success"
    assert task_of(airflow, run, "attach")["try_number"] == 2
    assert airflow.xcom(run, "attach") == empty
    assert sandbox.campaigns[0]["totalRecipients"] == 1000
    assert [request["status"] for request in requests_of(sandbox, "attach")] == [None, 400]


def wait_for_question(airflow: RunningAirflow, run: str) -> str:
    """Wait until the task ``approve`` waits for a person, and return what it shows."""
    wait_for_state(airflow, run, "awaiting_input", "approve")
    body: str = airflow.api("GET", f"{run}/taskInstances/approve/-1/hitlDetails").json()["body"]
    return body


RESULTS = "/dags/example_otpiq_results"


@pytest.mark.parametrize(
    ("dag_id", "option", "state", "statuses_now_and_later"),
    [
        ("example_otpiq_lifecycle", "Approve", "success", ["scheduled", "completed"]),
        ("example_otpiq_lifecycle", "Reject", "skipped", ["draft", "draft"]),
        ("approved_offer", "Approve", "success", ["scheduled", "completed"]),  # of docs/
    ],
)
def test_a_whole_campaign_waits_for_a_person(
    airflow: RunningAirflow, sandbox: Sandbox, dag_id: str, option: str, state: str, statuses_now_and_later: list[str]
) -> None:
    run = airflow.trigger(dag_id)
    asked = wait_for_question(airflow, run)
    sandbox.move_clock(days=365)  # a draft never starts automatically
    draft, sample = sandbox.campaigns
    assert (draft["status"], draft["totalRecipients"]) == ("draft", 11)
    assert (sample["sampleOfCampaign"], sample["totalRecipients"]) == (draft["_id"], 2)
    assert airflow.xcom(run, "sample") == sample["_id"]
    sandbox.move_clock(days=-365)
    assert all(request["method"] in ("GET", "POST") for request in sandbox.requests)
    assert requests_of(sandbox, "start") == []
    assert re.search("11 people,? for about 132 IQD", asked)
    airflow.respond(run, "approve", option)
    assert airflow.finished(run) == "success"
    assert task_of(airflow, run, "schedule")["state"] == state
    assert requests_of(sandbox, "start") == []
    now = statuses(sandbox)[0]
    sandbox.move_clock(days=2)
    assert [now, statuses(sandbox)[0]] == statuses_now_and_later


def test_a_broadcast_waits_for_a_person_and_shows_recipients_cost_and_credit(
    airflow: RunningAirflow, sandbox: Sandbox, tmp_path: Path
) -> None:
    wait_until(lambda: airflow.api("PATCH", RESULTS, {"is_paused": False}).ok)
    run = airflow.trigger("example_otpiq_broadcast", folder=str(tmp_path))
    asked = wait_for_question(airflow, run)
    draft, sample = sandbox.campaigns
    assert (draft["status"], draft["totalRecipients"]) == ("draft", 10)
    assert sample["sampleOfCampaign"] == draft["_id"]
    assert "to 10 people in 1 campaigns, for 120 of the remaining 14976 IQD" in asked
    assert "Of 11 rows, 0 were rejected, 1 opted out and 0 were duplicates." in asked
    airflow.respond(run, "approve", "Approve")
    wait_for_state(airflow, run, "up_for_reschedule", "wait")
    ledger = tmp_path / "example_otpiq_broadcast" / run.rpartition("/")[2] / "ledger"
    assert airflow.xcom(run, "start") == str(ledger)
    assert statuses(sandbox)[0] == "scheduled"
    sandbox.move_clock(days=2)
    assert statuses(sandbox)[0] == "completed"

    # The DAG that is scheduled on the start waits as well.
    (other,) = wait_until(lambda: airflow.api("GET", f"{RESULTS}/dagRuns").json()["dag_runs"])
    results = f"{RESULTS}/dagRuns/{other['dag_run_id']}"
    wait_for_state(airflow, results, "up_for_reschedule", "wait")
    assert airflow.xcom(results, "find_ledgers") == [str(ledger)]
    assert sandbox.reports == []

    # A person skips the wait. By the tasks' clock, no message is sent yet.
    mark_success(airflow, f"{run}/taskInstances/wait")
    mark_success(airflow, f"{results}/taskInstances/wait/0")
    assert [airflow.finished(each) for each in (run, results)] == ["success", "success"]
    assert (ledger.parent / "delivery.parquet").exists()
    assert (ledger.parent / "delivery.csv").exists()
    for counts in (airflow.xcom(run, "report", "report"), airflow.xcom(results, "report", "report", map_index=0)):
        assert (counts["messages"], counts["unmatched"]) == (0, 10)


def mark_success(airflow: RunningAirflow, task: str) -> None:
    airflow.api("PATCH", task, {"new_state": "success"}).raise_for_status()


def test_an_approval_after_the_time_sends_nothing(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    two_days_ago = pendulum.now("UTC").subtract(days=2)
    run = airflow.trigger("example_otpiq_lifecycle", run_after=two_days_ago.isoformat())
    wait_for_question(airflow, run)
    airflow.respond(run, "approve", "Approve")
    assert airflow.finished(run) == "failed"
    assert task_of(airflow, run, "schedule")["try_number"] == 1
    assert "scheduled_for: must be in the future" in log_of(airflow, run, "schedule")
    assert statuses(sandbox)[0] == "draft"


def test_the_mapped_example_schedules_a_campaign_for_each_city(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("example_otpiq_mapped")
    assert airflow.finished(run) == "success"
    planned = {campaign["name"]: campaign for campaign in sandbox.campaigns}
    assert {name: campaign["totalRecipients"] for name, campaign in planned.items()} == {
        "Summer offer for Baghdad": 5,
        "Summer offer for Basra": 3,
        "Summer offer for Erbil": 3,
    }
    assert statuses(sandbox) == ["scheduled"] * 3
    assert {task["pool"] for task in airflow.tasks(run)} == {"otpiq"}


def test_airflow_writes_no_phone_number(airflow: RunningAirflow, sandbox: Sandbox, campaign_id: str) -> None:
    runs = [airflow.trigger(dag, campaign_id=campaign_id) for dag in ("attach_invalid", "attach_skipping", "sample")]
    runs.append(airflow.trigger("example_otpiq_mapped"))
    assert [airflow.finished(run) for run in runs] == ["failed", "success", "success", "success"]
    assert task_of(airflow, runs[0], "attach")["try_number"] == 1
    assert "Invalid recipients: 17 of 1000" in log_of(airflow, runs[0], "attach")
    assert "Skipped 17 of 22 recipients" in log_of(airflow, runs[1], "attach")
    bodies = [request["body"] or {} for request in sandbox.requests]
    numbers = {recipient["phoneNumber"] for body in bodies for recipient in body.get("recipients", [])}
    for name in ("audience.csv", "team.csv"):
        with (EXAMPLE_DAGS / name).open() as rows:
            spellings = [row["phone"] for row in csv.DictReader(rows)]
        numbers |= {*spellings, *map(normalize, spellings)}
    assert len(numbers) > 20
    found = "".join(everything_written(airflow))
    assert "Attached 5 recipients" in found
    assert [number for number in numbers if number in found] == []
