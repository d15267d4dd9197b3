"""
Every code block of the documentation runs.

``KINDS`` decides by a block's language and content how it is tested; a block of no kind fails. An HTML comment before a
block can say more: ``<!-- continues -->`` puts the previous block in front of it, and ``<!-- Airflow 2 -->`` runs it on
that version only.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from configparser import ConfigParser
from shutil import copy
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from dev.local_airflow import EXAMPLE_DAGS
from tests.conftest import AIRFLOW_VERSION
from tests.dag_runner import DagRunner, dags_in
from tests.docs.pages import BLOCKS, TUTORIAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow
    from tests.docs.pages import Block

FILE_NAME = re.compile(r"# (\S+\.py)\n")

KINDS: dict[str, Callable[[Block], object]] = {
    "directive": lambda block: block.language.startswith("{"),  # for `make docs`
    "tutorial": lambda block: block.page == TUTORIAL,  # see test_tutorial.py
    "output": lambda block: block.language == "text",
    "json": lambda block: block.language == "json",
    "ini": lambda block: block.language == "ini",
    "query": lambda block: block.language == "sql",  # of docs/howto/results.md: see test_results.py
    "command": lambda block: block.language == "bash",  # see test_commands.py
    "file": lambda block: block.language == "python" and FILE_NAME.match(block.code),
    "dag": lambda block: block.language == "python" and re.search(r"^with DAG\(|^@dag", block.code, re.MULTILINE),
    "part of a dag": lambda block: block.language == "python" and "Operator" in block.code,
    "script": lambda block: block.language == "python" and "def test_" not in block.code,
}


def kind_of(block: Block) -> str:
    return next((kind for kind, matches in KINDS.items() if matches(block)), "unknown")


def runs_here(block: Block) -> bool:
    """Return whether the running Airflow has what a block uses."""
    if block.note == "Airflow 2":
        return AIRFLOW_VERSION.major == 2
    if "hitl" in block.code:
        return AIRFLOW_VERSION.release >= (3, 1)
    return AIRFLOW_VERSION.major >= 3 or "airflow.sdk" not in block.code


def of_kind(kind: str, containing: str = "") -> pytest.MarkDecorator:
    found = [block for block in BLOCKS if kind_of(block) == kind and runs_here(block) and containing in block.code]
    return pytest.mark.parametrize("block", found, ids=str)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of DAGs, with the audiences that the DAGs of the pages read."""
    for audience in EXAMPLE_DAGS.glob("*.csv"):
        copy(audience, tmp_path)
    return tmp_path


def write(folder: Path, block: Block) -> Path:
    path = folder / f"{re.sub(r'[^a-z0-9]', '_', str(block).lower())}.py"
    path.write_text(block.code.replace("/data/", f"{folder}/"))
    return path


def test_every_block_has_a_kind() -> None:
    assert [str(block) for block in BLOCKS if kind_of(block) == "unknown"] == []


def test_the_readme_shows_the_first_example() -> None:
    example = (EXAMPLE_DAGS / "example_otpiq_first.py").read_text()
    assert [block.code for block in BLOCKS if block.page == "README.md" and kind_of(block) == "dag"] == [example]
    assert len(example.splitlines()) <= 25


@of_kind("dag", containing="ApprovalOperator")
def test_only_an_approved_campaign_is_sent(block: Block, folder: Path) -> None:
    (dag,) = dags_in(write(folder, block))
    create: Any = dag.get_task("create")
    assert getattr(create, "schedule_type", None) is None  # a draft: a scheduled campaign starts automatically
    assert {"schedule", "start"} & {task.task_id for task in dag.get_task("approve").get_flat_relatives()}


@of_kind("part of a dag")
def test_a_part_of_a_dag_parses(block: Block) -> None:
    from airflow_provider_otpiq.operators import audience, broadcast, campaign, report

    modules = (audience, broadcast, campaign, report)
    operators = {name: getattr(module, name) for module in modules for name in module.__all__}
    with DAG("part", schedule=None) as dag:
        create = campaign.CreateCampaignOperator(task_id="create", name="Summer offer")
        exec(block.code, operators | {"create": create})  # noqa: S102
    assert len(dag.tasks) > 1


@pytest.mark.system
def test_the_dags_run(airflow: LocalAirflow, sandbox: Sandbox, folder: Path) -> None:
    files = [write(folder, block) for block in BLOCKS if kind_of(block) == "dag" and runs_here(block)]
    airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(folder)
    if AIRFLOW_VERSION.release < (3, 1):  # its `dag.test()` needs the assets that the DAG processor saves
        airflow.run("dags", "reserialize").check_returncode()
    with DagRunner(airflow) as runner:
        for file in files:
            run = runner.run(file)
            assert run.state == "success", run.log
    assert {request["status"] for request in sandbox.requests} <= {200, 201}


@of_kind("script")
@pytest.mark.usefixtures("sandbox_hook")
def test_a_script_runs(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    runpy.run_path(str(write(folder, block)))


@pytest.mark.system
@pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 3), reason="the page describes dag.test() of Airflow 3.3")
@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if kind_of(block) == "file"}))
def test_the_files_of_a_page_are_a_project_that_passes_its_tests(page: str, tmp_path: Path) -> None:
    python = [block.code for block in BLOCKS if block.page == page and block.language == "python"]
    (configuration,) = [block.code for block in BLOCKS if block.page == page and block.language == "ini"]
    for code in python:
        name = FILE_NAME.match(code)
        assert name
        path = tmp_path / name[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    (tmp_path / "pytest.ini").write_text(configuration)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "--strict-config", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    tests = re.findall(r"^def test_", "\n".join(python), re.MULTILINE)
    assert f"{len(tests)} passed" in run.stdout


@of_kind("json")
def test_json_is_valid(block: Block) -> None:
    assert json.loads(block.code)


@of_kind("ini")
def test_an_ini_file_is_valid(block: Block) -> None:
    parser = ConfigParser()
    parser.read_string(block.code)
    assert parser.sections()
