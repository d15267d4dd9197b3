"""Campaigns on Celery workers that are killed, frozen and restarted: each campaign starts once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dev.running_airflow import wait_until
from tests.system.celery.events import (
    Message,
    check_books,
    end_of_tasks,
    follow_the_runbook,
    freeze,
    kill_supervisor,
    kill_task,
    kill_worker,
    requests_of,
    task_of_request,
    thaw,
)
from tests.system.observing import log_of, task_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster

    Trouble = Callable[[Cluster, psutil.Process], None]

pytestmark = pytest.mark.celery

UNMAPPED = [-1]
SECONDS_TO_DIE = 8
"""How long OTPIQ takes for a request during which a process dies."""
SECONDS_OF_PAUSE = 25
"""How long OTPIQ requests to wait; longer than Airflow waits for a lost task."""
TROUBLES = [kill_task, kill_supervisor, kill_worker, freeze]


def test_the_api_server_reads_the_logs_of_both_workers(cluster: Cluster, sandbox: Sandbox) -> None:
    run = cluster.airflow.trigger("campaign_on_both_workers")
    assert cluster.airflow.finished(run) == "success"
    first, second = (worker.machine.address for worker in cluster.workers)
    hosts = {task["task_id"]: task["hostname"] for task in cluster.airflow.tasks(run)}
    assert hosts == {"create": first, "sample": first, "attach": second, "start": second}
    for worker, task_id in zip(cluster.workers, ("create", "attach"), strict=True):
        assert list(worker.home.glob(f"logs/dag_id=campaign_on_both_workers/*/task_id={task_id}/attempt=1.log"))
    assert not list(cluster.folder.glob("logs/dag_id=*"))
    assert "Created campaign" in log_of(cluster.airflow, run, "create")
    assert "Attached 20 recipients" in log_of(cluster.airflow, run, "attach")
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)


@pytest.mark.parametrize(
    ("trouble", "call", "fault"),
    [*((trouble, "start", {}) for trouble in TROUBLES), (kill_task, "sample", {"status": 503})],
)
def test_during_the_request_the_outcome_is_unknown_and_a_person_decides(
    cluster: Cluster, sandbox: Sandbox, trouble: Trouble, call: str, fault: dict[str, int]
) -> None:
    sandbox.arm(call, delay=SECONDS_TO_DIE, **fault)
    run = cluster.airflow.trigger("campaign")
    trouble(cluster, task_of_request(cluster, sandbox, run, call))
    assert cluster.airflow.finished(run) == "failed"
    assert task_of(cluster.airflow, run, call)["try_number"] == 2
    thaw(cluster)
    end_of_tasks(cluster)
    assert follow_the_runbook(cluster, sandbox, run) == 1
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_during_the_pause_before_an_http_retry_only_the_next_try_sends_the_request(
    cluster: Cluster, sandbox: Sandbox, trouble: Trouble
) -> None:
    sandbox.arm("sample", status=429, headers={"Retry-After": str(SECONDS_OF_PAUSE)})
    run = cluster.airflow.trigger("campaign")
    task = task_of_request(cluster, sandbox, run, "sample")
    wait_until(lambda: "HTTP retry 1 in" in log_of(cluster.airflow, run, "sample"))
    trouble(cluster, task)
    assert cluster.airflow.finished(run) == "success"
    (first, _) = requests_of(sandbox, "sample")
    pause_ends_at = datetime.fromisoformat(first["at"]) + timedelta(seconds=SECONDS_OF_PAUSE)
    wait_until(lambda: datetime.now(UTC) > pause_ends_at)  # so a frozen task continues when it is resumed
    thaw(cluster)
    end_of_tasks(cluster)
    assert task_of(cluster.airflow, run, "sample")["try_number"] == 2
    assert [request["status"] for request in requests_of(sandbox, "sample")] == [429, 201]
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)


@pytest.mark.parametrize("program", ["scheduler", "redis"])
def test_a_restart_does_not_disturb_a_task(cluster: Cluster, sandbox: Sandbox, program: str) -> None:
    sandbox.arm("attach", delay=SECONDS_TO_DIE)
    run = cluster.airflow.trigger("campaign")
    task_of_request(cluster, sandbox, run, "attach")
    getattr(cluster, program).restart()
    assert cluster.airflow.finished(run) == "success"
    assert [task["try_number"] for task in cluster.airflow.tasks(run)] == [1, 1, 1, 1]
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)


def test_a_task_that_the_broker_delivers_twice_runs_once(cluster: Cluster, sandbox: Sandbox) -> None:
    ignored = "ignoring redelivered message"
    sandbox.arm("start", delay=SECONDS_TO_DIE)
    run = cluster.airflow.trigger("campaign")
    task_of_request(cluster, sandbox, run, "start")
    message = Message(task_of(cluster.airflow, run, "start"))
    message.publish()
    wait_until(lambda: any(worker.printed(ignored) for worker in cluster.workers))
    assert cluster.airflow.finished(run) == "success"
    message.publish()  # again, after the task ended
    wait_until(lambda: any(worker.printed("invalid_state") for worker in cluster.workers))
    assert len(requests_of(sandbox, "start")) == 1
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)
