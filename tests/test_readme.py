"""Every code block of the README runs."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
DAG, WHOLE_CAMPAIGN, HOOK, SANDBOX, FIXTURE = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [code for language, code in BLOCKS if language == "bash"]


def test_the_blocks_are_the_ones_that_are_run_here() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "bash"}
    words = [command.split()[:2] for command in COMMANDS]
    assert words == [["make", "demo"], ["pip", "install"], ["airflow", "connections"], ["airflow", "connections"]]


@pytest.mark.system
@pytest.mark.skipif(AIRFLOW_VERSION.major < 3, reason="the README shows Airflow 3")
def test_the_opening_dag_creates_and_updates(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    assert len(DAG.splitlines()) <= 20
    dags = Path(airflow.environment["AIRFLOW_HOME"]) / "dags"
    (dags / "readme.py").write_text(DAG)
    run = airflow.run("dags", "test", "evening_offer")
    assert [request["method"] for request in sandbox.requests] == ["POST", "PATCH"], run.stdout
    assert re.fullmatch(r"Evening offer of \d{4}-\d\d-\d\d", sandbox.campaigns[0]["name"])


@pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 1), reason="Airflow 3.1 brought ApprovalOperator")
def test_the_whole_campaign_is_a_dag_whose_start_follows_an_approval(tmp_path: Path) -> None:
    # What it does is run in tests/system/scheduler.
    (tmp_path / "readme.py").write_text(WHOLE_CAMPAIGN)
    tasks = runpy.run_path(str(tmp_path / "readme.py"))
    assert tasks["start"].upstream_task_ids == {"approve", "create"}
    assert tasks["create"].schedule_type is None  # a draft, so that the approval guards something


def test_the_hooks_example_makes_a_draft(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    names: dict[str, Callable[[], str]] = {}
    exec(HOOK, names)  # noqa: S102
    assert names["create_a_draft"]() == sandbox.campaigns[0]["_id"]


@pytest.mark.system
def test_the_sandboxs_example_holds() -> None:
    subprocess.run([sys.executable, "-c", SANDBOX], check=True, timeout=120)


@pytest.mark.system
def test_the_fixtures_example_passes(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(FIXTURE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "2 passed" in run.stdout, run.stdout


@pytest.mark.system
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("airflow")])
def test_the_connections_can_be_added(airflow: LocalAirflow, command: str) -> None:
    del airflow.environment["AIRFLOW_CONN_OTPIQ_DEFAULT"]  # it would hide the one in the database
    subprocess.run(["bash", "-c", command], env=airflow.environment, check=True, timeout=120)
    connection_id = command.split()[3]
    shown = airflow.run("connections", "get", connection_id, "--output", "yaml").stdout
    assert "conn_type: otpiq" in shown
    assert "read_timeout" in shown


@pytest.mark.system
def test_the_package_can_be_installed_from_a_checkout(tmp_path: Path) -> None:
    assert "pip install .\n" in COMMANDS
    venv = tmp_path / "venv"
    uv = str(Path(sys.executable).parent / "uv")
    environment = os.environ | {"VIRTUAL_ENV": str(venv)}
    subprocess.run([uv, "venv", "--quiet", str(venv)], check=True)
    # Its dependencies are the ones that run these tests.
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", str(REPOSITORY)], env=environment, check=True)
    code = "import airflow_provider_otpiq as p; print(p.__file__)"
    python = [str(venv / "bin" / "python"), "-c", code]
    found = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(venv))


@pytest.mark.system
def test_every_make_target_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z0-9.-]*)", (REPOSITORY / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "airflow", "test"} <= named
    subprocess.run(["make", "--dry-run", *named], cwd=REPOSITORY, check=True, capture_output=True)


def test_every_file_that_is_named_is_there() -> None:
    table = (REPOSITORY / "README.md").read_text().split("## File -> what it is for")[1]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert rows
    for row in rows:
        folder = Path()
        for name in re.findall(r"`(.+?)`", row):
            path = Path(name) if "/" in name else folder / name
            assert (REPOSITORY / path).exists(), path
            folder = path.parent


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", (REPOSITORY / "README.md").read_text())
    assert len(pictures) == 3
    assert all((REPOSITORY / picture).is_file() for picture in pictures)


def test_the_table_of_errors_names_all_of_them() -> None:
    from airflow_provider_otpiq import exceptions

    rows = re.findall(r"^\|.*", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"`(Otpiq\w+Error)`", "".join(rows)))
    leaves = {
        n
        for n, e in vars(exceptions).items()
        if isinstance(e, type) and n.startswith("Otpiq") and not e.__subclasses__()
    }
    assert named == leaves
