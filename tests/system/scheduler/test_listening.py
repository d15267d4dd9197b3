"""Everybody is an admin in this Airflow, so it must not listen to other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from tests.listening import LOOPBACK, listening

if TYPE_CHECKING:
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler


def test_airflow_and_its_database_listen_on_loopback_only(airflow: RunningAirflow) -> None:
    processes = airflow.processes()
    if postmaster := airflow.environment.get("OTPIQ_TEST_POSTMASTER"):
        processes.append(psutil.Process(int(postmaster)))
    found = listening(processes)
    assert ("127.0.0.1", airflow.port) in found
    assert {host for host, _ in found} <= LOOPBACK
