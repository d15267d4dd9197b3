"""The documented versions are those that the tests run on, and the differences those of the running Airflow."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from airflow.configuration import conf
from airflow.models.dagrun import DagRun
from airflow.providers.common.compat.sdk import Context
from packaging.requirements import Requirement
from packaging.version import Version

from dev.constraints import Environment, environments
from dev.local_airflow import REPOSITORY
from tests.docs.versions import documented, tables

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def pinned(environment: Environment) -> dict[str, str]:
    lines = (REPOSITORY / "dev" / "constraints" / f"{environment.airflow}.txt").read_text().splitlines()
    return dict(line.partition(" ;")[0].split("==") for line in lines if "==" in line)


def dependencies(environment: Environment) -> str:
    if environment.airflow == "lowest":
        return "the lowest that `pyproject.toml` allows"
    return "the newest" if environment.day == "today" else f"of {environment.day}"


def test_the_table_of_versions_is_what_the_tests_run_on() -> None:
    _, *rows = tables()[0]
    assert rows == [
        [pinned(environment)["apache-airflow"], environment.python, dependencies(environment)]
        for environment in environments()
    ]


def test_the_columns_of_the_differences_are_what_the_tests_run_on() -> None:
    assert tables()[1][0][1:] == [environment.airflow for environment in environments()[1:]]


def test_the_readme_and_the_classifiers_claim_no_other_versions() -> None:
    airflows = [environment.airflow for environment in environments()[1:]]
    pythons = sorted({environment.python for environment in environments()}, key=Version)
    line = f"- Airflow {listed(airflows)}; Python {listed(pythons)}: "
    assert line in (REPOSITORY / "README.md").read_text()
    assert re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"])) == pythons
    assert PROJECT["requires-python"] == f">={pythons[0]}"


def listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def test_the_lowest_dependencies_are_the_lower_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    lowest = {name.lower(): release for name, release in pinned(environments()[0]).items()}
    for requirement in map(Requirement, [*PROJECT["dependencies"], *extras["audience"], *extras["sandbox"]]):
        (bound,) = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        assert Version(lowest[requirement.name.replace(".", "-")]) == Version(bound), requirement.name


def has(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name)
    except Exception:  # noqa: BLE001  # Airflow 3.0's standard provider raises another
        return False


def reads_the_form_from_the_provider_info() -> bool:
    return "conn-fields" in inspect.getsource(import_module("airflow.providers_manager"))


DIFFERENCES: dict[str, Callable[[], bool]] = {
    "state survives": lambda: "task_state_store" in Context.__annotations__,
    "`OtpiqRetryPolicy`": lambda: has("airflow_provider_otpiq.retry_policy", "OtpiqRetryPolicy"),
    "`ApprovalOperator`": lambda: has("airflow.providers.standard.operators.hitl", "ApprovalOperator"),
    "the connection form": reads_the_form_from_the_provider_info,
    "`airflow.sdk`": lambda: has("airflow.sdk", "DAG"),
    "outlets are assets": lambda: has("airflow.sdk", "Asset"),
    "`dag_run.run_after`": lambda: hasattr(DagRun, "run_after"),
    "`catchup`": lambda: conf.getboolean("scheduler", "catchup_by_default"),
}
# These need a connection or a run of a DAG.
TESTED_ELSEWHERE = {
    "the rendered field": "test_recipients_can_be_set_in_every_way_and_are_shown_as_a_count",
    "an extra of the connection": "test_extras_that_are_not_an_object_refuse_everything",
    "`airflow dags test`": "test_only_the_connection_contains_the_key",
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_difference_is_as_documented(difference: str) -> None:
    assert DIFFERENCES[difference]() == documented(difference)


def test_each_difference_is_tested() -> None:
    _, *rows = tables()[1]
    beginnings = (*DIFFERENCES, *TESTED_ELSEWHERE)
    assert [row[0] for row in rows if not row[0].startswith(beginnings)] == []
    assert len(rows) == len(beginnings)
    tests = "".join(file.read_text() for file in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name in TESTED_ELSEWHERE.values() if f"def {name}(" not in tests] == []
