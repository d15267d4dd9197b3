"""One cluster for all tests of Celery, with the sandbox and S3 in its network."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.system.celery.cluster import Cluster, add_connection, new_airflow
from tests.system.celery.events import end_of_tasks, thaw
from tests.system.celery.network import HUB, Machine, own_network
from tests.system.scheduler.observing import KEY
from tests.system.scheduler.postgresql import a_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def network() -> Iterator[list[Machine]]:
    machines = [Machine("worker-1", "10.66.0.11"), Machine("worker-2", "10.66.0.12")]
    with own_network(), contextlib.ExitStack() as stack:
        for machine in machines:
            stack.enter_context(machine.started())
        yield machines


@pytest.fixture(scope="session")
def cluster_sandbox(network: list[Machine]) -> Iterator[Sandbox]:
    with Sandbox(host=HUB, api_key=KEY, credit=10**9, keep_requests=10**5) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def s3(network: list[Machine]) -> Iterator[str]:
    """The address of an object store."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(HUB, port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, network: list[Machine], cluster_sandbox: Sandbox, s3: str
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("celery")
    airflow = new_airflow(folder)
    with a_postgresql(airflow.environment):
        airflow.migrate()
        otpiq = {"conn_type": "otpiq", "host": cluster_sandbox.url, "password": KEY}
        for name, retries in (("otpiq_default", 2), ("otpiq_chaos", 1)):
            extra = {"allow_insecure_http": True, "max_retries": retries}
            add_connection(airflow, name, **otpiq, extra=extra)
        add_connection(airflow, "aws_default", **aws_connection(s3))
        cluster = Cluster(folder, airflow, network)
        with cluster.started():
            yield cluster


@pytest.fixture
def sandbox(cluster: Cluster, cluster_sandbox: Sandbox) -> Iterator[Sandbox]:
    cluster_sandbox.reset()
    yield cluster_sandbox
    thaw(cluster)  # where a test has failed in the middle
    end_of_tasks(cluster)


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a bucket of its own, for the tasks and for the test itself."""
    import boto3

    name, keys = f"bucket-{uuid4().hex}", {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys).create_bucket(Bucket=name)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(aws_connection(s3)))
    return f"s3://aws_default@{name}"


def aws_connection(endpoint: str) -> dict[str, Any]:
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    return {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
