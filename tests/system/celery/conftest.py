"""One cluster for all tests of Celery, with the sandbox and S3 in its network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.system.celery.cluster import Cluster, add_connection, new_airflow
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
        insecure = {"allow_insecure_http": True}
        add_connection(
            airflow, "otpiq_default", conn_type="otpiq", host=cluster_sandbox.url, password=KEY, extra=insecure
        )
        add_connection(
            airflow,
            "otpiq_chaos",
            conn_type="otpiq",
            host=cluster_sandbox.url,
            password=KEY,
            extra={**insecure, "max_retries": 1},
        )
        extra = {"endpoint_url": s3, "region_name": "us-east-1"}
        add_connection(airflow, "aws_default", conn_type="aws", login="testing", password="testing", extra=extra)
        cluster = Cluster(folder, airflow, network)
        with cluster.started():
            yield cluster


@pytest.fixture
def sandbox(cluster_sandbox: Sandbox) -> Sandbox:
    cluster_sandbox.reset()
    return cluster_sandbox
