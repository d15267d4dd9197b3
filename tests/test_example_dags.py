"""The example DAGs import without a network, on every version of Airflow."""

from __future__ import annotations

import runpy
import socket
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import DAG

from dev.local_airflow import EXAMPLE_DAGS
from tests.conftest import AIRFLOW_VERSION

NEEDS_APPROVAL_OPERATOR = "example_otpiq_lifecycle"


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a DAG file went to the network while it was parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("file", sorted(EXAMPLE_DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_one_dag_of_its_files_name(file: Any) -> None:
    if file.stem == NEEDS_APPROVAL_OPERATOR and AIRFLOW_VERSION.release < (3, 1):
        pytest.skip("Airflow 3.1 brought ApprovalOperator")
    (dag,) = [value for value in runpy.run_path(str(file)).values() if isinstance(value, DAG)]
    assert dag.dag_id == file.stem
    assert dag.tasks


@pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 1), reason="Airflow 3.1 brought ApprovalOperator")
def test_the_lifecycle_is_a_draft_that_only_an_approved_start_sends() -> None:
    dag = runpy.run_path(str(EXAMPLE_DAGS / f"{NEEDS_APPROVAL_OPERATOR}.py"))["dag"]
    create = dag.get_task("create")
    assert (create.schedule_type, create.scheduled_for) == (None, None)
    assert dag.get_task("start").upstream_task_ids == {"create", "approve"}


@pytest.mark.usefixtures("_no_network")
def test_the_network_really_is_away() -> None:
    with pytest.raises(AssertionError):
        socket.create_connection(("127.0.0.1", 1))
