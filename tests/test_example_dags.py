"""The example DAGs import without a network, and do what they describe."""

import runpy
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import time_machine
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator
from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import EXAMPLE_DAGS
from tests.docs.versions import examples_that_cannot_load
from tests.fakes import CREATE, PHONE_NUMBER_ID, TEMPLATE_ID, TaskInstance, execute

CREATE_OF_GROUPS: Any = {"template_name": "summer_promo", "phone_number": "+964 770 123 4567"}
LIFECYCLE, BROADCAST = "example_otpiq_lifecycle", "example_otpiq_broadcast"
needs_approval = pytest.mark.skipif(bool(examples_that_cannot_load()), reason="no ApprovalOperator here")


def example(name: str) -> Any:
    return runpy.run_path(str(EXAMPLE_DAGS / f"{name}.py"))["dag"]


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a DAG file used the network while it was parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("file", sorted(EXAMPLE_DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_one_dag_with_the_files_name(file: Any) -> None:
    if file.stem in examples_that_cannot_load():
        pytest.skip("needs a later Airflow")
    (dag,) = [value for value in runpy.run_path(str(file)).values() if isinstance(value, DAG)]
    assert dag.dag_id == file.stem
    assert dag.tasks


@needs_approval
@pytest.mark.parametrize(("name", "task_id"), [(LIFECYCLE, "schedule"), (BROADCAST, "start")])
def test_nothing_is_sent_before_an_approval(name: str, task_id: str) -> None:
    dag = example(name)
    assert dag.get_task(task_id).upstream_task_ids == {"create", "approve"}
    create = dag.get_task("create")
    assert getattr(create, "schedule_type", None) is getattr(create, "scheduled_for", None) is None
    assert all(task.operator_name != "StartCampaignOperator" for task in dag.tasks)


@pytest.mark.usefixtures("sandbox_hook")
def test_the_first_example_messages_nobody(sandbox: Sandbox) -> None:
    dag = example("example_otpiq_first")
    context: dict[str, Any] = {"ti": TaskInstance(), "dag": dag}
    create, attach = dag.get_task("create"), dag.get_task("attach")
    attach.campaign_id = execute(create, context)
    execute(attach, context)
    (campaign,) = sandbox.campaigns
    assert (campaign["status"], campaign["totalRecipients"]) == ("draft", 2)
    assert attach.upstream_task_ids == {"create"}


WHEN_ALL_IS_READ = timedelta(hours=34)
DELIVERED = {"messages": 10, "pending": 0, "sent": 0, "delivered": 6, "read": 3, "failed": 1, "refunded": 1}


@needs_approval
@pytest.mark.usefixtures("sandbox_hook")
def test_a_broadcast_ends_with_a_report_and_its_results_are_found(sandbox: Sandbox, tmp_path: Path) -> None:
    from airflow.sdk.execution_time.context import OutletEventAccessors

    dag = example(BROADCAST)
    context: dict[str, Any] = {
        "ti": TaskInstance(),
        "dag": dag,
        "run_id": "manual__1",
        "dag_run": SimpleNamespace(run_after=datetime.now(UTC)),
        "macros": SimpleNamespace(timedelta=timedelta),
        "params": {"folder": str(tmp_path)},
        "outlet_events": OutletEventAccessors(),
    }
    tasks: Any = {task.task_id: task for task in dag.tasks}
    tasks["create"].audience = execute(tasks["prepare"], context)
    ledger = tasks["start"].broadcast = execute(tasks["create"], context)
    execute(tasks["start"], context)
    assert tasks["approve"].upstream_task_ids == {"read_credit"}
    wait, report = tasks["wait"], tasks["report"]
    wait.broadcast = report.broadcast = ledger
    assert wait.upstream_task_ids == {"start"}
    assert report.upstream_task_ids == {"start", "wait"}
    assert wait.poke(context) is False
    assert sandbox.reports == []
    with time_machine.travel(WHEN_ALL_IS_READ):
        assert wait.poke(context) is True
        destination = Path(execute(report, context))
    folder = tmp_path / dag.dag_id / "manual__1"
    assert destination == folder / "delivery.parquet"
    assert destination.read_bytes().startswith(b"PAR1")
    assert context["ti"].pushed["report"] == DELIVERED | {"cost_iqd": 108, "unmatched": 0}

    results = example("example_otpiq_results")
    assert results.schedule == tasks["start"].outlets
    (outlet,) = results.schedule
    event = SimpleNamespace(extra=context["outlet_events"][outlet].extra)
    ledgers = results.get_task("find_ledgers").python_callable({outlet.uri: [event, event]})  # of a cleared start
    assert ledgers == [str(folder / "ledger")]


@pytest.mark.usefixtures("sandbox_hook")
def test_each_group_but_the_holdout_gets_its_template(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    source = runpy.run_path(str(EXAMPLE_DAGS / "example_otpiq_groups.py"))
    dag, create_fields = source["dag"], source["create_fields"]
    context = {"ti": TaskInstance(), "dag": dag, "run_id": "manual__1"}
    groups = {group["group"]: group for group in execute(dag.get_task("prepare"), context)}
    assert {name: group["recipients"] for name, group in groups.items()} == {"ar": 3, "en": 2, "holdout": 2}
    with pytest.raises(AirflowSkipException, match="2 people get no message"):
        create_fields(groups["holdout"])
    with pytest.raises(KeyError):
        create_fields(groups["ar"] | {"group": "tr"})
    for name in ("ar", "en"):
        execute(CreateBroadcastOperator(task_id=name, **CREATE_OF_GROUPS, **create_fields(groups[name])), context)
    ar, en = sandbox.campaigns
    assert (ar["template"], en["template"]) == ("665f1c2ab3d4e5f601234567", "665f1c2ab3d4e5f6012345b1")
    assert [campaign["totalRecipients"] for campaign in (ar, en)] == [3, 2]


@needs_approval
@pytest.mark.parametrize(
    ("run_after", "scheduled_for"),
    [
        ("2099-12-01T05:00:00+00:00", "2099-12-02T06:00:00Z"),
        ("2099-12-01T20:59:00+00:00", "2099-12-02T06:00:00Z"),
        ("2099-12-01T21:00:00+00:00", "2099-12-03T06:00:00Z"),  # midnight in Baghdad
    ],
)
def test_the_lifecycle_schedules_for_the_next_morning(
    sandbox_hook: OtpiqHook, sandbox: Sandbox, run_after: str, scheduled_for: str
) -> None:
    dag = example(LIFECYCLE)
    task = dag.get_task("schedule")
    task.campaign_id = sandbox_hook.create_campaign(**CREATE)["_id"]
    of_the_run = {
        "dag_run": SimpleNamespace(run_after=datetime.fromisoformat(run_after)),
        "macros": SimpleNamespace(timedelta=timedelta),
    }
    execute(task, {"ti": TaskInstance(), "dag": dag, **of_the_run})
    assert sandbox.requests[-1]["body"] == {"scheduleType": "schedule", "scheduledFor": scheduled_for}


@pytest.mark.parametrize(
    ("form", "template"),
    [
        ({}, "665f1c2ab3d4e5f601234567"),
        ({"template_language": "en"}, "665f1c2ab3d4e5f6012345b1"),
        ({"template_id": TEMPLATE_ID, "phone_number_id": PHONE_NUMBER_ID}, TEMPLATE_ID),
        ({"template_id": TEMPLATE_ID, "template_name": None}, TEMPLATE_ID),
    ],
)
@pytest.mark.usefixtures("sandbox_hook")
def test_the_manual_example_accepts_names_or_ids(sandbox: Sandbox, form: dict[str, Any], template: str) -> None:
    dag = example("example_otpiq_manual")
    execute(dag.get_task("create"), {"ti": TaskInstance(), "dag": dag, "params": dag.params.dump() | form})
    (campaign,) = sandbox.campaigns
    assert (campaign["name"], campaign["template"], campaign["status"]) == ("Summer offer", template, "draft")


@pytest.mark.usefixtures("_no_network")
def test_the_fixture_blocks_the_network() -> None:
    with pytest.raises(AssertionError):
        socket.create_connection(("127.0.0.1", 1))
