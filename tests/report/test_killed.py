"""A task that is killed while it downloads a report, as Airflow does it, leaves no file."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.operators.reports import WINDOW
from tests.report.test_hostile_files import CSV, Otpiq, otpiq  # noqa: F401  # fixture
from tests.wire import response


@pytest.fixture
def on_sigterm() -> Iterator[Callable[[Any], object]]:
    """Handle SIGTERM as Airflow 3 does: call ``on_kill`` and continue."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda task: signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    signal.signal(signal.SIGTERM, before)


def test_a_killed_task_leaves_no_file(
    otpiq: Otpiq,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_sigterm: Callable[[Any], object],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    over = threading.Event()

    def stall(connection: socket.socket) -> None:
        connection.sendall(response(CSV, Content_Length="1000000"))
        os.kill(os.getpid(), signal.SIGTERM)
        over.wait()

    otpiq.file = stall
    task = DeliveryReportOperator(task_id="report", destination=str(tmp_path / "report.csv"), **WINDOW)
    on_sigterm(task)
    try:
        with pytest.raises(SystemExit, match="143"):
            task.execute({"ti": None})  # type: ignore[typeddict-item]
    finally:
        over.set()
    assert list(tmp_path.iterdir()) == []


TASKS = [
    DeliveryReportOperator(task_id="report", destination="x.csv"),
    DeliverySensor(task_id="sensor"),
    PrepareAudienceOperator(task_id="prepare", source="x.csv", phone_number="phone", output="audience"),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: str(task.task_id))
def test_a_killed_task_exits_unless_it_has_timed_out(task: Any) -> None:
    with pytest.raises(SystemExit):
        task.on_kill()
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        task.on_kill()
