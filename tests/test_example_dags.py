"""The example DAGs import without a network, and do what they describe."""

from __future__ import annotations

import runpy
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import time_machine
from airflow.providers.common.compat.sdk import DAG

from dev.local_airflow import EXAMPLE_DAGS
from tests.docs.versions import examples_that_cannot_load
from tests.fakes import CREATE, PHONE_NUMBER_ID, TEMPLATE_ID, TaskInstance, execute

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

LIFECYCLE = "example_otpiq_lifecycle"
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
def test_the_lifecycle_schedules_its_draft_only_after_an_approval() -> None:
    dag = example(LIFECYCLE)
    create = dag.get_task("create")
    assert (create.schedule_type, create.scheduled_for) == (None, None)
    assert dag.get_task("schedule").upstream_task_ids == {"create", "approve"}
    assert all(task.operator_name != "StartCampaignOperator" for task in dag.tasks)


@needs_approval
def test_the_broadcast_starts_only_after_an_approval() -> None:
    dag = example("example_otpiq_broadcast")
    assert dag.get_task("start").upstream_task_ids == {"create", "approve"}
    assert dag.get_task("approve").upstream_task_ids == {"read_credit"}


@pytest.fixture
def started(sandbox_hook: OtpiqHook, tmp_path: Path) -> tuple[DAG, dict[str, Any]]:
    """The broadcast example after its task ``start``, and the context of its tasks."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    dag = example("example_otpiq_broadcast")
    context = {
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
    tasks["wait"].broadcast = tasks["report"].broadcast = ledger
    return dag, context


WHEN_ALL_IS_READ = timedelta(hours=34)
DELIVERED = {"messages": 10, "pending": 0, "sent": 0, "delivered": 6, "read": 3, "failed": 1, "refunded": 1}


@needs_approval
def test_the_broadcast_ends_with_a_report_of_its_messages(
    started: tuple[DAG, dict[str, Any]], sandbox: Sandbox, tmp_path: Path
) -> None:
    dag, context = started
    wait: Any = dag.get_task("wait")
    report = dag.get_task("report")
    assert wait.upstream_task_ids == {"start"}
    assert report.upstream_task_ids == {"start", "wait"}
    assert wait.poke(context) is False
    assert sandbox.reports == []
    with time_machine.travel(WHEN_ALL_IS_READ):
        assert wait.poke(context) is True
        destination = execute(report, context)
    assert destination == str(tmp_path / dag.dag_id / "manual__1" / "delivery.parquet")
    assert Path(destination).read_bytes().startswith(b"PAR1")
    assert context["ti"].pushed["report"] == DELIVERED | {"cost_iqd": 108, "unmatched": 0}


@needs_approval
def test_the_results_are_those_of_the_started_broadcasts(started: tuple[DAG, dict[str, Any]], tmp_path: Path) -> None:
    dag, context = started
    results = example("example_otpiq_results")
    (outlet,) = dag.get_task("start").outlets
    assert results.schedule == [outlet]
    event = SimpleNamespace(extra=context["outlet_events"][outlet].extra)
    ledgers = results.get_task("find_ledgers").python_callable({outlet.uri: [event, event]})  # of a cleared start
    assert ledgers == [str(tmp_path / dag.dag_id / "manual__1" / "ledger")]


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
    campaign_id = sandbox_hook.create_campaign(**CREATE)["_id"]
    task = dag.get_task("schedule")
    task.campaign_id = campaign_id
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
