"""Campaigns and a broadcast on Celery workers that are killed, frozen and restarted: each message is sent once."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq._storage import Folder
from dev.running_airflow import wait_until
from tests.broadcast.people import PRICE, messaged, number
from tests.system.celery.events import (
    Message,
    check_books,
    end_of_tasks,
    follow_the_runbook,
    freeze,
    kill_supervisor,
    kill_task,
    kill_worker,
    task_of_request,
    thaw,
)
from tests.system.observing import everything_written, log_of, requests_of, task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster
    from tests.system.object_store import Store

    Trouble = Callable[[Cluster, psutil.Process], None]

pytestmark = pytest.mark.celery

UNMAPPED = [-1]
SECONDS_TO_DIE = 8
"""How long OTPIQ takes for a request during which a process dies."""
SECONDS_OF_PAUSE = 25
"""How long OTPIQ requests to wait; longer than Airflow waits for a lost task."""
TROUBLES = [kill_task, kill_supervisor, kill_worker, freeze]
CAMPAIGNS = list(range(6))
PARTS, PART_SIZE, SHARDS = 8, 1000, 4
NAME = "Rabab-of-the-workers"
SENDER = "9647701234567"
BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")  # the bodies of Celery's messages
BYTEA = re.compile(r"\\x([0-9a-f]{16,})")  # Celery's results, in a dump of PostgreSQL


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


def test_a_task_that_the_broker_delivers_twice_runs_once(cluster: Cluster, sandbox: Sandbox) -> None:
    sandbox.arm("start", delay=SECONDS_TO_DIE)
    run = cluster.airflow.trigger("campaign")
    task_of_request(cluster, sandbox, run, "start")
    message = Message(task_of(cluster.airflow, run, "start"))
    message.publish()
    wait_until(lambda: any(worker.printed("ignoring redelivered message") for worker in cluster.workers))
    assert cluster.airflow.finished(run) == "success"
    message.publish()  # again, after the task ended
    wait_until(lambda: any(worker.printed("invalid_state") for worker in cluster.workers))
    assert len(requests_of(sandbox, "start")) == 1
    check_books(cluster, sandbox, run, UNMAPPED, samples=1)


def test_mapped_campaigns_while_each_program_is_killed(cluster: Cluster, sandbox: Sandbox) -> None:
    sandbox.arm("create", delay=4)
    sandbox.arm("attach", delay=6, times=2)
    sandbox.arm("start", delay=10, times=len(CAMPAIGNS))
    run = cluster.airflow.trigger("mapped_campaigns")
    wait_until(lambda: sandbox.campaigns)
    cluster.redis.restart()
    kill_worker(cluster, task_of_request(cluster, sandbox, run, "attach"))
    kill_supervisor(cluster, task_of_request(cluster, sandbox, run, "start", count=len(CAMPAIGNS)))
    cluster.scheduler.restart()
    state = cluster.airflow.finished(run)
    end_of_tasks(cluster)
    assert state == "failed"
    assert follow_the_runbook(cluster, sandbox, run) == 1
    check_books(cluster, sandbox, run, CAMPAIGNS, samples=0)


def test_a_broadcast_from_s3_while_each_program_is_killed(cluster: Cluster, sandbox: Sandbox, store: Store) -> None:
    rows = "".join(f"{NAME},{number(index)}\n" for index in range(PARTS * PART_SIZE))
    Folder(store.url).write("people.csv", f"name,phone\n{rows}".encode())
    for call in ("create", "attach", "update"):
        sandbox.arm(call, delay=5, times=SHARDS)
    run = cluster.airflow.trigger("broadcast_from_s3", folder=store.url)
    kill_task(cluster, task_of_request(cluster, sandbox, run, "create"))
    kill_supervisor(cluster, task_of_request(cluster, sandbox, run, "attach", "create"))
    cluster.redis.restart()
    kill_worker(cluster, task_of_request(cluster, sandbox, run, "update", "start"))
    freeze(cluster, task_of_request(cluster, sandbox, run, "update", "start"))
    cluster.scheduler.restart()
    assert cluster.airflow.finished(run) == "success"
    thaw(cluster)
    end_of_tasks(cluster)
    sandbox.move_clock(days=1)
    assert messaged(sandbox) == Counter(number(index) for index in range(PARTS * PART_SIZE))
    assert len([campaign for campaign in sandbox.campaigns if campaign["status"] == "completed"]) == PARTS
    totals = [cluster.airflow.xcom(run, "start", "broadcast", shard) for shard in range(SHARDS)]
    assert sum(total["scheduled"] + total["already_scheduled"] for total in totals) == PARTS
    assert sum(total["recipients"] for total in totals) == PARTS * PART_SIZE
    assert sum(total["estimated_cost"] for total in totals) == PARTS * PART_SIZE * PRICE


def test_logs_database_and_redis_contain_no_key_and_no_personal_data(cluster: Cluster, sandbox: Sandbox) -> None:
    run = cluster.airflow.trigger("mapped_campaigns")
    assert cluster.airflow.finished(run) == "success"
    texts = list(everything_written(cluster.airflow))
    written = "\n".join([*texts, *(part for text in texts for part in decoded_parts(text))])
    assert "Attached 20 recipients" in written  # a log
    assert "execute_workload" in written  # a message's headers
    assert '\\"dag_rel_path\\"' in written  # a message's body
    assert "COPY public.task_instance " in written
    assert sandbox.api_key not in written
    assert NAME not in written
    assert set(re.findall(r"96477\d{8}", written)) <= {SENDER}


def decoded_parts(text: str) -> Iterator[str]:
    for found in BASE64.findall(text):
        try:
            yield base64.b64decode(found + "=" * (-len(found) % 4)).decode(errors="replace")
        except binascii.Error:  # not base64
            continue
    for found in BYTEA.findall(text):
        content = bytes.fromhex(found[: len(found) // 2 * 2])
        yield content.decode(errors="replace")
        try:
            yield zlib.decompress(content).decode(errors="replace")
        except zlib.error:  # not compressed
            continue
