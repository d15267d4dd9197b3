"""Campaigns on Celery workers: killed, frozen and restarted in the middle, and in the end each started once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.scheduler.observing import log_of, the_task

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster

pytestmark = pytest.mark.celery


def test_the_api_server_reads_the_logs_of_both_workers(cluster: Cluster, sandbox: Sandbox) -> None:
    run = cluster.airflow.trigger("campaign_on_both_workers")
    assert cluster.airflow.finished(run) == "success"
    first, second = (worker.machine.address for worker in cluster.workers)
    hosts = {task["task_id"]: task["hostname"] for task in cluster.airflow.tasks(run)}
    assert hosts == {"create": first, "sample": first, "attach": second, "start": second}
    assert "Created campaign" in log_of(cluster.airflow, run, "create")
    assert "Attached 20 recipients" in log_of(cluster.airflow, run, "attach")
