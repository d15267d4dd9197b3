"""The pytest plugin: which connections point to the sandbox, and how little it costs a run that does not use it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE

pytestmark = pytest.mark.slow


def test_the_default_connection_points_to_the_sandbox(otpiq_sandbox: Sandbox) -> None:
    OtpiqHook().create_campaign(**CREATE)
    assert len(otpiq_sandbox.campaigns) == 1


def test_http_retries_do_not_wait(otpiq_sandbox: Sandbox, sleep_calls: list[float]) -> None:
    otpiq_sandbox.arm("info", status=429, headers={"Retry-After": "30"})
    OtpiqHook().get_project_info()
    assert [request["status"] for request in otpiq_sandbox.requests] == [429, 200]
    assert sleep_calls == []


@pytest.mark.otpiq_connections("otpiq_north", "Otpiq_South")
def test_a_marker_chooses_the_connections(otpiq_sandbox: Sandbox) -> None:
    assert "AIRFLOW_CONN_OTPIQ_DEFAULT" not in os.environ
    for connection_id in ("otpiq_north", "Otpiq_South"):
        OtpiqHook(connection_id).create_campaign(**CREATE)
    assert len(otpiq_sandbox.campaigns) == 2


def run_pytest(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as another project does, with only this plugin, found by its entry point."""
    (folder / "test_example.py").write_text(code)
    (folder / "pytest.ini").touch()
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "otpiq", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [*pytest, *options, "test_example.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


IDS = """
import os
import pytest

def ids():
    return {name for name in os.environ if name.startswith("AIRFLOW_CONN_")}

def test_without_the_fixture():
    assert ids() == set()

def test_ini(otpiq_sandbox):
    assert ids() == {"AIRFLOW_CONN_TEAM_A", "AIRFLOW_CONN_TEAM_B"}

@pytest.mark.otpiq_connections("team_c")
class TestMarker:
    def test_marker(self, otpiq_sandbox):
        assert ids() == {"AIRFLOW_CONN_TEAM_C"}

    @pytest.mark.otpiq_connections("team_d")
    def test_closest_marker(self, otpiq_sandbox):
        assert ids() == {"AIRFLOW_CONN_TEAM_D"}

def test_afterwards():
    assert ids() == set()
"""


@pytest.mark.system
def test_the_ini_option_chooses_the_connections_and_a_marker_overrides_it(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, IDS, "--strict-markers", "--strict-config", "-o", "otpiq_connections=team_a team_b")
    assert "5 passed" in run.stdout, run.stdout + run.stderr


MISUSE = """
import pytest

@pytest.mark.otpiq_connections(["a", "b"])
def test_list(otpiq_sandbox): ...

@pytest.mark.otpiq_connections
def test_nothing(otpiq_sandbox): ...

@pytest.mark.otpiq_connections("")
def test_empty(otpiq_sandbox): ...
"""


@pytest.mark.system
def test_a_marker_without_connection_ids_is_an_error_that_shows_how(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, MISUSE)
    assert "3 errors" in run.stdout, run.stdout + run.stderr
    for found in ([["a", "b"]], [], [""]):
        assert f"otpiq_connections: must be one or more connection ids; found {found!r}." in run.stdout


SEEN = """
import sys

def test_sandbox(otpiq_sandbox):
    assert "fastapi" in sys.modules

loaded = {name.partition(".")[0] for name in sys.modules}
heavy = {"airflow", "fastapi", "jinja2", "pydantic", "requests", "starlette", "uvicorn"}
assert loaded & heavy == set()
assert "airflow_provider_otpiq.sandbox.pytest_plugin" in sys.modules
"""


@pytest.mark.system
def test_nothing_is_imported_before_the_fixture_is_used(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SEEN)
    assert "1 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.system
def test_the_marker_and_the_option_are_documented(tmp_path: Path) -> None:
    assert "@pytest.mark.otpiq_connections(*connection_ids):" in run_pytest(tmp_path, "", "--markers").stdout
    assert "otpiq_connections (args)" in run_pytest(tmp_path, "", "--help").stdout
