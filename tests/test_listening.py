"""Each server of this repository listens on loopback only; for Airflow see tests/system/scheduler."""

import subprocess
import sys
from urllib.parse import urlsplit

import psutil
import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.listening import LOOPBACK, listening


def test_the_sandbox_of_a_test_listens_on_loopback(sandbox: Sandbox) -> None:
    found = listening([psutil.Process()])
    assert urlsplit(sandbox.url).port in {port for _, port in found}
    assert {host for host, _ in found} <= LOOPBACK


@pytest.mark.system
@pytest.mark.parametrize(
    "command", [["airflow_provider_otpiq.sandbox", "--port", "0"], ["dev.bench_server", "http", ""]]
)
def test_a_server_of_a_command_listens_on_loopback(command: list[str]) -> None:
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # printed after it listens
            assert {host for host, _ in listening([psutil.Process(process.pid)])} == {"127.0.0.1"}
        finally:
            process.terminate()
