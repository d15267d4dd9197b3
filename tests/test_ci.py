"""What runs in CI: each target of the Makefile, by `.ci/run` and by the jobs of GitHub Actions alike."""

import re
from typing import Any

import pytest
import yaml

from dev.constraints import environments
from dev.local_airflow import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text()
GITHUB = REPOSITORY / ".github"
WORKFLOW = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())["jobs"]["ci"]
ROWS: list[dict[str, Any]] = WORKFLOW["strategy"]["matrix"]["include"]
LOWEST, *OLDER, NEWEST = environments()
# No check, or one that CI cannot run: see CONTRIBUTING.
NOT_IN_CI = {"help", "airflow", "format", "constraints", "clean", "audit", "test-live"}
PART_OF_ANOTHER = {"unit": "test", "test": "test-matrix", "test-scheduler": "test-postgresql"}


def lines() -> list[str]:
    """List the targets of each line of ``.ci/run``."""
    script = (REPOSITORY / ".ci" / "run").read_text()
    return [line.strip() for line in re.findall(r"^(?:timeout \w+ )?make ([a-z][^#|\n]*)", script, re.MULTILINE)]


def test_ci_runs_each_target_of_the_makefile() -> None:
    in_makefile = set(re.findall(r"^([a-z][a-z0-9.-]*):.*##", MAKEFILE, re.MULTILINE))
    in_ci = set(" ".join(lines()).split())
    assert in_ci == in_makefile - NOT_IN_CI - PART_OF_ANOTHER.keys()
    assert NOT_IN_CI | PART_OF_ANOTHER.keys() <= in_makefile


def test_each_line_of_ci_is_a_job() -> None:
    matrix = ["test", *(f"test-{environment.airflow}" for environment in (LOWEST, *OLDER))]
    expected = [targets for line in lines() for targets in (matrix if line == "test-matrix" else [line])]
    assert sorted(row["targets"] for row in ROWS) == sorted(expected)
    assert WORKFLOW["steps"][-1] == {"run": ".ci/run ${{ matrix.targets }}"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["targets"])
def test_a_job_has_the_python_of_its_airflow(row: dict[str, Any]) -> None:
    pythons = {f"test-{environment.airflow}": environment.python for environment in environments()}
    assert row["python"] == pythons.get(row["targets"], NEWEST.python)


def test_only_a_pre_release_may_fail() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert [row["targets"] for row in ROWS if row.get("warns")] == ["test-pre"]
    assert re.findall(r"make (.+) \|\| echo", script) == ["test-pre"]
    assert WORKFLOW["continue-on-error"] == "${{ matrix.warns == true }}"


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_a_form_of_an_issue_has_the_keys_that_github_requires(name: str) -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(re.fullmatch(r"[\w-]+", field["id"]) and field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


def test_a_bug_report_has_a_field_for_the_output_of_the_check() -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "bug_report.yml").read_text())
    (field,) = [field for field in form["body"] if field.get("id") == "otpiq-check"]
    assert "`otpiq-check --json " in field["attributes"]["description"]
