"""One cluster for all tests of Celery, with the sandbox and S3 in its network."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.system.celery.cluster import Cluster, add_connection, new_airflow
from tests.system.celery.events import end_of_tasks, thaw
from tests.system.network import HUB, Machine, own_network
from tests.system.object_store import Store, object_store
from tests.system.postgresql import postgresql

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
def running_sandbox(network: list[Machine]) -> Iterator[Sandbox]:
    with Sandbox(host=HUB, api_key="sk_live_only_in_the_connection", credit=10**9, keep_requests=10**5) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def bucket(network: list[Machine]) -> Iterator[Store]:
    with object_store(HUB) as store:
        yield store


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, network: list[Machine], running_sandbox: Sandbox, bucket: Store
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("celery")
    airflow = new_airflow(folder)
    with postgresql(airflow.environment):
        airflow.migrate()
        otpiq = {"conn_type": "otpiq", "host": running_sandbox.url, "password": running_sandbox.api_key}
        add_connection(airflow, "otpiq_default", **otpiq, extra={"allow_insecure_http": True})
        add_connection(airflow, "aws_default", **bucket.connection)
        cluster = Cluster(folder, airflow, network)
        with cluster.started():
            yield cluster


@pytest.fixture
def sandbox(cluster: Cluster, sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    thaw(cluster)  # if a test failed before it did
    end_of_tasks(cluster)
