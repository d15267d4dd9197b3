"""Discovery of the provider, and DAGs that run in a real Airflow."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq import __version__
from dev.local_airflow import EXAMPLE_DAGS, LocalAirflow
from tests.conftest import AIRFLOW_VERSION, airflow_in, without_airflows_debug_lines
from tests.dag_runner import DagRunner
from tests.docs.versions import documented, examples_that_cannot_load
from tests.operators.reports import as_csv, send_file

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox

pytestmark = pytest.mark.system

DAGS = Path(__file__).parent / "dags"
CAMPAIGN_EXAMPLE = EXAMPLE_DAGS / "example_otpiq_campaign.py"
# As Airflow 2's webserver does, with the serialized DAG.
SHOW_LINK = f"""
from airflow.models import DagBag, DagRun
from airflow.serialization.serialized_objects import SerializedDAG

parsed = DagBag({str(CAMPAIGN_EXAMPLE)!r}).get_dag({CAMPAIGN_EXAMPLE.stem!r})
dag = SerializedDAG.from_dict(SerializedDAG.to_dict(parsed))
run = max(DagRun.find(dag_id=dag.dag_id), key=lambda run: run.start_date)
print(repr(dag.get_task("create").get_extra_links(run.get_task_instance("create"), "OTPIQ dashboard")))
"""


def query(airflow: LocalAirflow, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query to Airflow's database."""
    with closing(sqlite3.connect(airflow.home / "airflow.db")) as database:
        return database.execute(sql, parameters).fetchall()


def test_the_dag_processor_parses_all_examples(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, EXAMPLE_DAGS)
    airflow.migrate()
    # In Airflow 2 the scheduler parses one file in each loop.
    command = "dag-processor --num-runs 1" if AIRFLOW_VERSION.major > 2 else "scheduler --num-runs 10"
    processor = airflow.run(*command.split())
    assert processor.returncode == 0, processor.stdout
    invalid = examples_that_cannot_load()
    texts = [file.read_text() for file in EXAMPLE_DAGS.glob("*.py") if file.stem not in invalid]
    dag_ids = set(re.findall(r'"(example_otpiq_\w+)"', "".join(texts)))  # a file may have several DAGs
    assert {dag_id for (dag_id,) in query(airflow, "SELECT dag_id FROM dag")} == dag_ids
    assert {Path(name).stem for (name,) in query(airflow, "SELECT filename FROM import_error")} == invalid


def test_airflow_discovers_the_provider(airflow: LocalAirflow) -> None:
    provider = airflow.run("providers", "get", "airflow-provider-otpiq", "--output", "json").stdout
    assert __version__ in provider
    hooks = airflow.run("providers", "hooks", "--output", "json").stdout
    assert "airflow_provider_otpiq.hooks.otpiq.OtpiqHook" in hooks
    assert "otpiq_conn_id" in hooks


@pytest.mark.parametrize("file", sorted(EXAMPLE_DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_runs(dag_runner: DagRunner, sandbox: Sandbox, file: Path) -> None:
    if file.stem in examples_that_cannot_load():
        pytest.skip("needs a later Airflow")
    run = dag_runner.run(file, file.stem, mark_success="approve|wait")  # a file may have other DAGs too
    assert run.state == "success", run.log
    assert {request["status"] for request in sandbox.requests} <= {200, 201}
    # The results' DAG finds no started broadcast here; for one, see test_whole_campaigns.
    assert bool(sandbox.campaigns) == (file.stem != "example_otpiq_results")
    assert bool(sandbox.reports) == (file.stem == "example_otpiq_broadcast")


def test_the_groups_example_schedules_each_group_but_the_holdout(dag_runner: DagRunner, sandbox: Sandbox) -> None:
    run = dag_runner.run(EXAMPLE_DAGS / "example_otpiq_groups.py")
    assert run.state == "success", run.log
    assert sorted((c["name"], c["status"], c["totalRecipients"]) for c in sandbox.campaigns) == [
        ("Summer offer, Arabic 1/1", "scheduled", 3),
        ("Summer offer, English 1/1", "scheduled", 2),
    ]


def test_the_campaign_example_creates_and_updates(dag_runner: DagRunner, sandbox: Sandbox) -> None:
    state, log = dag_runner.run(CAMPAIGN_EXAMPLE)
    assert state == "success", log
    assert "XCom not found" not in log  # for the link to OTPIQ's dashboard
    (campaign,) = sandbox.campaigns
    assert campaign["name"] == "Evening offer, last call"
    assert campaign["status"] == "scheduled"
    create, update = sandbox.requests
    assert (create["method"], update["method"]) == ("POST", "PATCH")
    assert update["path"].endswith(campaign["_id"])
    assert create["body"]["scheduledFor"] < update["body"]["scheduledFor"] == campaign["scheduledFor"]


@pytest.mark.parametrize(
    "blank",
    [
        {},
        # Airflow 2 checks the format and refuses the run.
        pytest.param({"scheduled_for": ""}, marks=pytest.mark.skipif(AIRFLOW_VERSION.major < 3, reason="refused")),
    ],
)
def test_the_manual_example_without_a_date_saves_a_draft(
    dag_runner: DagRunner, sandbox: Sandbox, blank: dict[str, object]
) -> None:
    assert dag_runner.run(EXAMPLE_DAGS / "example_otpiq_manual.py", conf=blank).state == "success"
    (campaign,) = sandbox.campaigns
    assert (campaign["status"], campaign["scheduledFor"]) == ("draft", None)


@pytest.mark.parametrize("rendering", ["text", "native"])
def test_every_field_can_be_set_in_every_way(dag_runner: DagRunner, sandbox: Sandbox, rendering: str) -> None:
    assert dag_runner.run(DAGS / "every_way_to_give_a_field.py", f"every_way_{rendering}").state == "success"
    *updated, blank = sorted(sandbox.campaigns, key=lambda campaign: str(campaign["name"]), reverse=True)
    assert (blank["name"], blank["status"], blank["scheduledFor"]) == ("Blank", "draft", None)
    assert len(updated) == 5
    for campaign in updated:
        assert campaign["name"] == "Updated"
        assert campaign["template"] == "665f1c2ab3d4e5f601234567"
        assert campaign["phoneNumber"] == "665f1c2ab3d4e5f601234569"
        assert campaign["category"] == "UTILITY"
        assert (campaign["status"], campaign["scheduledFor"]) == ("scheduled", "2099-12-02T06:00:00Z")
    creates = [request["body"] for request in sandbox.requests if request["method"] == "POST"]
    assert [body.get("scheduledFor") for body in creates].count("2099-12-01T06:00:00Z") == 5


def test_recipients_can_be_set_in_every_way_and_are_shown_as_a_count(
    airflow: LocalAirflow, dag_runner: DagRunner, sandbox: Sandbox
) -> None:
    state, log = dag_runner.run(DAGS / "every_way_to_give_recipients.py", "every_way_of_recipients")
    assert state == "success", log
    campaigns = {campaign["name"]: campaign for campaign in sandbox.campaigns}
    expected = {"Way literal": 2, "Way xcom_arg": 3, "Way callable": 4, "Way template": 3}
    expected |= {"Mapped 0": 5, "Mapped 1": 6, "Mapped people": 3}
    assert {name: campaigns[name]["totalRecipients"] for name in expected} == expected
    assert campaigns["Way template (sample)"]["totalRecipients"] == 4
    assert {name for name in expected if campaigns[name]["startedAt"]} == {"Way template", "Mapped 0", "Mapped 1"}
    shown = rendered_recipients(airflow, "every_way_of_recipients")
    assert {"2 recipients", "3 recipients", "1 recipient"} <= shown
    assert all(re.fullmatch(r"\d recipients?|the recipients of from_the_context", text) for text in shown)
    assert ("4 recipients" in shown) == documented("the rendered field of recipients from a callable shows their count")
    for request in sandbox.requests:
        for recipient in (request["body"] or {}).get("recipients", []):
            assert recipient["phoneNumber"] not in without_airflows_debug_lines(log)


def test_a_field_that_cannot_be_rendered_stores_no_personal_data(airflow: LocalAirflow, dag_runner: DagRunner) -> None:
    dag_id = "recipients_beside_a_field_that_cannot_be_rendered"
    log = dag_runner.run(DAGS / "every_way_to_give_recipients.py", dag_id).log
    assert "UndefinedError" in log
    assert rendered_recipients(airflow, dag_id) <= {"3 recipients"}  # Airflow 2 stores nothing then
    assert "96476" not in without_airflows_debug_lines(log)


def rendered_recipients(airflow: LocalAirflow, dag_id: str) -> set[str]:
    """Return what Airflow has stored for the field ``recipients`` of a DAG's tasks."""
    rows = query(airflow, "SELECT rendered_fields FROM rendered_task_instance_fields WHERE dag_id = ?", dag_id)
    fields = [json.loads(rendered) for (rendered,) in rows]
    return {rendered["recipients"] for rendered in fields if "recipients" in rendered}


def test_the_asset_event_of_a_successful_task_contains_its_campaign(
    airflow: LocalAirflow, dag_runner: DagRunner, sandbox: Sandbox
) -> None:
    if AIRFLOW_VERSION.release < (3, 1):  # whose `dag.test()` needs serialized assets
        airflow.run("dags", "reserialize").check_returncode()
    dag_id = "asset_of_a_campaign"
    assert dag_runner.run(DAGS / "campaigns_of_assets.py", dag_id).state == "failed"  # of its second task
    table = "asset_event" if AIRFLOW_VERSION.major >= 3 else "dataset_event"
    sql = f"SELECT source_task_id, extra FROM {table} WHERE source_dag_id = ?"  # noqa: S608
    ((task_id, extra),) = query(airflow, sql, dag_id)
    assert (task_id, json.loads(extra)) == ("create", {"campaign_id": sandbox.campaigns[0]["_id"]})


@pytest.mark.skipif(AIRFLOW_VERSION.major > 2, reason="`make test-browser` tests Airflow 3")
@pytest.mark.parametrize("address", ["https://dashboard.example.com/{campaign_id}", None])
def test_airflow_2_shows_the_link_to_the_dashboard(airflow_home: Path, sandbox: Sandbox, address: str | None) -> None:
    airflow = airflow_in(airflow_home, sandbox)
    extra = {"dashboard_url": address}
    airflow.connect("otpiq_default", host=sandbox.url, password=sandbox.api_key, extra=extra)
    with DagRunner(airflow) as runner:
        assert runner.run(CAMPAIGN_EXAMPLE).state == "success"
    command = [sys.executable, "-c", SHOW_LINK]
    shown = subprocess.run(command, env=airflow.environment, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == repr((address or "").format(campaign_id=sandbox.campaigns[0]["_id"]))


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize("status", ["read", "pending"])
def test_a_sensors_last_counts_are_in_xcom_even_if_it_times_out(
    dag_runner: DagRunner, sandbox: Sandbox, mode: str, status: str
) -> None:
    send_file(sandbox, as_csv([{"Delivery Status": status}]), 1)
    run = dag_runner.run(DAGS / "waits_for_messages.py", f"waits_in_mode_{mode}")
    assert "the sensor's report: {'messages': 1, 'pending': " in run.log
    assert ("AirflowSensorTimeout" in run.log) is (status == "pending")


def test_only_the_connection_contains_the_key(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    key = "sk_live_never_to_be_seen"
    airflow.connect("otpiq_default", host=sandbox.url, password=key)
    run = airflow.run("dags", "test", "example_otpiq_campaign")
    assert "401" in run.stdout
    assert "Check the API key" in run.stdout
    assert key not in without_airflows_debug_lines(run.stdout)
    assert (key in run.stdout) == documented("`airflow dags test` prints")
    for file in airflow.home.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), file
