"""The example DAGs import without a network, on every version of Airflow."""

from __future__ import annotations

import runpy
import socket
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import DAG

from dev.local_airflow import EXAMPLE_DAGS


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a DAG file went to the network while it was parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("file", sorted(EXAMPLE_DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_one_dag_of_its_files_name(file: Any) -> None:
    (dag,) = [value for value in runpy.run_path(str(file)).values() if isinstance(value, DAG)]
    assert dag.dag_id == file.stem
    assert dag.tasks


@pytest.mark.usefixtures("_no_network")
def test_the_network_really_is_away() -> None:
    with pytest.raises(AssertionError):
        socket.create_connection(("127.0.0.1", 1))
