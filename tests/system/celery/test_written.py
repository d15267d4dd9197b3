"""What the cluster has written, in this test and in earlier ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.system.celery.written import written_by
from tests.system.observing import KEY

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster

pytestmark = pytest.mark.celery

SENDER = "9647701234567"


def test_logs_database_and_redis_contain_no_key_and_no_personal_data(cluster: Cluster, sandbox: Sandbox) -> None:
    run = cluster.airflow.trigger("mapped_campaigns")
    assert cluster.airflow.finished(run) == "success"
    written = written_by(cluster)
    assert "Attached 20 recipients" in written  # a log
    assert "execute_workload" in written  # a message's headers
    assert '\\"dag_rel_path\\"' in written  # a message's body
    assert "COPY public.task_instance " in written
    assert KEY not in written
    assert "Rabab-of-the-workers" not in written
    assert set(re.findall(r"96477\d{8}", written)) <= {SENDER}
