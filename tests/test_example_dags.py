"""The example DAGs import without a network, on every version of Airflow."""

from __future__ import annotations

import runpy
import socket
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
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
        raise AssertionError("a DAG file went to the network while it was parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("file", sorted(EXAMPLE_DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_one_dag_of_its_files_name(file: Any) -> None:
    if file.stem in examples_that_cannot_load():
        pytest.skip("no ApprovalOperator here")
    (dag,) = [value for value in runpy.run_path(str(file)).values() if isinstance(value, DAG)]
    assert dag.dag_id == file.stem
    assert dag.tasks


@needs_approval
def test_the_lifecycle_is_a_draft_that_is_scheduled_only_after_an_approval() -> None:
    dag = example(LIFECYCLE)
    create = dag.get_task("create")
    assert (create.schedule_type, create.scheduled_for) == (None, None)
    assert dag.get_task("schedule").upstream_task_ids == {"create", "approve"}
    assert all(task.operator_name != "StartCampaignOperator" for task in dag.tasks)


@needs_approval
def test_the_broadcast_is_started_only_after_an_approval() -> None:
    dag = example("example_otpiq_broadcast")
    assert dag.get_task("start").upstream_task_ids == {"create", "approve"}
    assert dag.get_task("approve").upstream_task_ids == {"read_credit"}


@needs_approval
@pytest.mark.parametrize(
    ("run_after", "scheduled_for"),
    [
        ("2099-12-01T05:00:00+00:00", "2099-12-02T06:00:00Z"),
        ("2099-12-01T20:59:00+00:00", "2099-12-02T06:00:00Z"),
        ("2099-12-01T21:00:00+00:00", "2099-12-03T06:00:00Z"),  # midnight in Baghdad
    ],
)
def test_the_lifecycle_is_scheduled_for_the_morning_after_its_run(
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
def test_the_manual_example_takes_names_and_prefers_ids(sandbox: Sandbox, form: dict[str, Any], template: str) -> None:
    dag = example("example_otpiq_manual")
    execute(dag.get_task("create"), {"ti": TaskInstance(), "dag": dag, "params": dag.params.dump() | form})
    (campaign,) = sandbox.campaigns
    assert (campaign["name"], campaign["template"], campaign["status"]) == ("Summer offer", template, "draft")


@pytest.mark.usefixtures("_no_network")
def test_the_network_really_is_away() -> None:
    with pytest.raises(AssertionError):
        socket.create_connection(("127.0.0.1", 1))
