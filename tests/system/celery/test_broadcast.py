"""Mapped campaigns, and a broadcast in four shards with its files on S3, while each program is killed once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq._storage import Folder
from dev.running_airflow import wait_until
from tests.broadcast.people import PRICE, messaged, number
from tests.system.celery.events import (
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

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster
    from tests.system.object_store import Store

pytestmark = pytest.mark.celery

CAMPAIGNS = list(range(6))
PARTS, PART_SIZE, SHARDS = 8, 1000, 4
NAME = "Rabab-of-the-workers"


def test_mapped_campaigns_under_every_trouble(cluster: Cluster, sandbox: Sandbox) -> None:
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


def test_a_broadcast_from_s3_under_every_trouble(cluster: Cluster, sandbox: Sandbox, store: Store) -> None:
    rows = "".join(f"{NAME},{number(each)}\n" for each in range(PARTS * PART_SIZE))
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
    check_broadcast(cluster, sandbox, run)


def check_broadcast(cluster: Cluster, sandbox: Sandbox, run: str) -> None:
    sandbox.move_clock(days=1)
    assert messaged(sandbox) == Counter(number(each) for each in range(PARTS * PART_SIZE))
    assert len([campaign for campaign in sandbox.campaigns if campaign["status"] == "completed"]) == PARTS
    totals = [cluster.airflow.xcom(run, "start", "broadcast", shard) for shard in range(SHARDS)]
    assert sum(each["scheduled"] + each["already_scheduled"] for each in totals) == PARTS
    assert sum(each["recipients"] for each in totals) == PARTS * PART_SIZE
    assert sum(each["estimated_cost"] for each in totals) == PARTS * PART_SIZE * PRICE
