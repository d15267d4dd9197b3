from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before Airflow is imported: the tests must ignore the machine's Airflow.
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
_home = tempfile.TemporaryDirectory(prefix="airflow-home-")  # removed when the process ends
os.environ["AIRFLOW_HOME"] = _home.name
# On SIGTERM, the tests end what they started, as with Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import pytest
from hypothesis import settings
from packaging.version import Version

from dev.local_airflow import EXAMPLE_DAGS, LocalAirflow
from tests.dag_runner import DagRunner
from tests.wire import Wire

# The fixtures import what takes long: pytest-xdist's first process uses none of them.

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

settings.register_profile("small", max_examples=40)
settings.register_profile("whole", max_examples=400)
settings.load_profile(os.environ.get("OTPIQ_TEST_FUZZ", "small"))  # CI sets it

AIRFLOW_VERSION = Version(version("apache-airflow"))
needs_task_state = pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 3), reason="Airflow 3.3 brought task_state_store")


def without_airflows_debug_lines(log: str) -> str:
    """Remove the messages between Airflow 3.0's processes, which ``dags test`` always prints."""
    if AIRFLOW_VERSION.release[:2] != (3, 0):
        return log
    return "".join(line for line in log.splitlines(keepends=True) if "[debug " not in line)


BASE_URL = "https://api.otpiq.com/api"
API_KEY = "sk_live_0123456789abcdef"
STARTS_PROCESSES = {"system", "scheduler", "object_store", "pods", "celery", "browser"}

_unit_test: str | None = None


def _refuse_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if _unit_test and event == "subprocess.Popen" and arguments[0] != "file":  # which croniter runs
        raise AssertionError(f"{_unit_test} starts a process. Mark it `system`.")


sys.addaudithook(_refuse_processes)


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep ``make unit`` fast."""
    global _unit_test  # noqa: PLW0603
    marked = {mark.name for mark in request.node.iter_markers()}
    _unit_test = None if marked & STARTS_PROCESSES else request.node.nodeid
    yield
    _unit_test = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one of pytest-xdist's processes run what needs the Airflow, so it is set up once."""
    for item in items:
        if "airflow_home" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("airflow"))


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    from airflow_provider_otpiq.sandbox import Sandbox

    with Sandbox(api_key="sk_live_only_in_the_connection") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., OtpiqHook]:
    """Define the connection ``otpiq_default``, and return its hook."""
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    def connect(**fields: Any) -> OtpiqHook:
        fields = {"conn_type": "otpiq", "password": API_KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_DEFAULT", json.dumps(fields))
        return OtpiqHook()

    return connect


@pytest.fixture
def hook(connect: Callable[..., OtpiqHook]) -> OtpiqHook:
    """A hook for OTPIQ's address, for requests-mock."""
    return connect()


@pytest.fixture
def connect_sandbox(connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> Callable[..., OtpiqHook]:
    """Connect ``otpiq_default`` to the sandbox, with extras, and return its hook."""
    return lambda **extra: connect(host=sandbox.url, password=sandbox.api_key, extra=extra)


@pytest.fixture
def sandbox_hook(connect_sandbox: Callable[..., OtpiqHook]) -> OtpiqHook:
    return connect_sandbox()


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    """Start servers that follow a script, and end them."""
    with ExitStack() as stack:

        def start(script: Callable[..., object], **options: Any) -> Wire:
            server = Wire(script, **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def logged(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return what was logged: on Airflow 3, what an operator logs is printed and reaches no handler."""
    caplog.set_level("INFO")
    return lambda: "".join(capfd.readouterr()) + caplog.text


@pytest.fixture
def sleep_calls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep, which takes no time."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for all system tests, and one DAG folder with the examples and the tests' DAGs."""
    home = tmp_path_factory.mktemp("airflow")
    link_dags(home)
    LocalAirflow(home).migrate()
    return home


def link_dags(home: Path) -> None:
    """Put the examples and the tests' DAGs in the DAG folder of an Airflow."""
    (home / "dags").mkdir()
    (home / "dags" / "examples").symlink_to(EXAMPLE_DAGS)
    (home / "dags" / "tests").symlink_to(Path(__file__).parent / "system" / "dags")


@pytest.fixture
def airflow(airflow_home: Path, sandbox: Sandbox) -> LocalAirflow:
    """A real Airflow connected to the sandbox."""
    return airflow_in(airflow_home, sandbox)


def airflow_in(home: Path, sandbox: Sandbox) -> LocalAirflow:
    airflow = LocalAirflow(home, home / "dags")
    airflow.connect("otpiq_default", host=sandbox.url, password=sandbox.api_key)
    return airflow


@pytest.fixture(scope="session")
def dag_runner(airflow_home: Path, running_sandbox: Sandbox) -> Iterator[DagRunner]:
    """Runs DAGs in the same Airflow."""
    with DagRunner(airflow_in(airflow_home, running_sandbox)) as runner:
        yield runner


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, and the authority that signed it, in one file."""
    import trustme

    authority = trustme.CA()
    path = tmp_path_factory.mktemp("certificate") / "certificate.pem"
    issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    path.write_bytes(issued.bytes() + authority.cert_pem.bytes())
    return path
