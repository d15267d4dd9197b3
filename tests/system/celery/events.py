"""What the Celery tests wait for, do to the cluster, and check in the end."""

from __future__ import annotations

import base64
import json
import signal
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dev.running_airflow import wait_until
from tests.broadcast.people import messaged, number
from tests.system.celery.cluster import BROKER
from tests.system.observing import clear, delete_pending_marker, log_of, requests_of

if TYPE_CHECKING:
    import psutil

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster

PEOPLE = 20
"""The number of recipients of a campaign, and of its sample."""
TEAM = 50_000_000
"""The first number of the team that gets samples."""


def task_of_request(
    cluster: Cluster, sandbox: Sandbox, run: str, call: str, task_id: str = "", count: int = 1
) -> psutil.Process:
    """Wait for ``count`` requests, and return a process of the task that sends them, by default the task ``call``."""
    wait_until(lambda: len(requests_of(sandbox, call)) >= count)

    def supervised() -> list[psutil.Process]:
        pids = {task["pid"] for task in cluster.airflow.tasks(run) if task["task_id"] == (task_id or call)}
        return [task for task in cluster.tasks() if task.pid in pids and cluster.is_supervised(task)]

    return wait_until(supervised)[0]


def kill_task(cluster: Cluster, task: psutil.Process) -> None:
    task.kill()


def kill_supervisor(cluster: Cluster, task: psutil.Process) -> None:
    """Kill a task's supervisor; the task survives."""
    supervisor = task.parent()
    assert supervisor
    supervisor.kill()
    supervisor.wait(10)
    assert task.is_running()


def kill_worker(cluster: Cluster, task: psutil.Process) -> None:
    cluster.worker_of(task).restart()


def freeze(cluster: Cluster, task: psutil.Process) -> None:
    """Freeze a task and its supervisor, like a virtual machine that moves to another host."""
    supervisor = task.parent()
    assert supervisor
    for process in (supervisor, task):
        process.send_signal(signal.SIGSTOP)


def thaw(cluster: Cluster) -> None:
    """Resume all frozen processes."""
    for worker in cluster.workers:
        for process in worker.processes():
            process.send_signal(signal.SIGCONT)


def end_of_tasks(cluster: Cluster) -> None:
    """Wait until no task runs, including those that Airflow considers lost."""
    wait_until(lambda: not cluster.tasks(), 60)


class Message:
    """The message that a worker has received for a task, and not acknowledged."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._broker = import_module("redis").Redis.from_url(BROKER)  # only `make test-celery` installs it
        messages = map(json.loads, self._broker.hvals("unacked"))
        self._message, _, self._queue = next(found for found in messages if task["id"] in _body(found[0]))

    def publish(self) -> None:
        """Publish it again, so that the broker delivers it again."""
        self._message["properties"]["delivery_tag"] = str(uuid4())
        self._broker.lpush(self._queue, json.dumps(self._message))


def _body(message: dict[str, Any]) -> str:
    return base64.b64decode(message["body"]).decode()


def follow_the_runbook(cluster: Cluster, sandbox: Sandbox, run: str) -> int:
    """Follow docs/unknown-outcome.md for each failed task, wait until the run succeeds, and count these tasks."""
    wait_until(lambda: all(request["status"] for call in ("sample", "start") for request in requests_of(sandbox, call)))
    failed = [task for task in cluster.airflow.tasks(run) if task["state"] == "failed"]
    for task in failed:
        log = log_of(cluster.airflow, run, task["task_id"], task["try_number"], task["map_index"])
        assert "OtpiqOutcomeUnknownError" in log
        campaign_id = cluster.airflow.xcom(run, "create", map_index=task["map_index"])
        if _took_effect(sandbox, task["task_id"], campaign_id):
            path = f"{run}/taskInstances/{task['task_id']}/{task['map_index']}"
            cluster.airflow.api("PATCH", path, {"new_state": "success"}).raise_for_status()
        else:
            delete_pending_marker(cluster.airflow, log)
            _clear(cluster, run, task)
    if cluster.airflow.api("GET", run).json()["state"] == "failed":  # nothing downstream continues it
        cluster.airflow.api("PATCH", run, {"state": "success"}).raise_for_status()
    assert cluster.airflow.finished(run) == "success"
    return len(failed)


def _took_effect(sandbox: Sandbox, call: str, campaign_id: str) -> bool:
    key = "_id" if call == "start" else "sampleOfCampaign"
    return any(campaign[key] == campaign_id and campaign["status"] != "draft" for campaign in sandbox.campaigns)


def _clear(cluster: Cluster, run: str, task: dict[str, Any]) -> None:
    task_id = [task["task_id"], task["map_index"]] if task["map_index"] >= 0 else task["task_id"]
    cleared = clear(cluster.airflow, run, only_failed=True, task_ids=[task_id], include_downstream=True)
    cleared.raise_for_status()


def check_books(cluster: Cluster, sandbox: Sandbox, run: str, campaigns: list[int], *, samples: int) -> None:
    """Check that OTPIQ and Airflow agree: each campaign started once, and each recipient got one message."""
    assert {task["state"] for task in cluster.airflow.tasks(run)} == {"success"}
    created = {cluster.airflow.xcom(run, "create", map_index=index) for index in campaigns}
    started = [campaign for campaign in sandbox.campaigns if campaign["status"] != "draft"]
    assert {campaign["_id"] for campaign in started if not campaign["isSampleCampaign"]} == created
    assert len([campaign for campaign in started if campaign["isSampleCampaign"]]) == samples
    sent = Counter(request["path"] for request in requests_of(sandbox, "start") if request["status"] == 200)
    assert list(sent.values()) == [1] * len(campaigns)
    people = range(len(campaigns) * PEOPLE)
    team = range(TEAM, TEAM + samples * PEOPLE)
    assert messaged(sandbox) == Counter(map(number, (*people, *team)))
