"""What other code relies on: names, imports, and how little a DAG file's parsing costs."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

import airflow_provider_otpiq
from airflow_provider_otpiq import exceptions
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators import campaign
from airflow_provider_otpiq.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parent.parent


def test_the_public_names_are_there() -> None:
    assert (OtpiqHook.conn_type, OtpiqHook.default_conn_name, OtpiqHook.hook_name) == (
        "otpiq",
        "otpiq_default",
        "OTPIQ",
    )
    assert OtpiqHook.conn_name_attr == "otpiq_conn_id"
    methods = {
        "get_conn",
        "create_campaign",
        "update_campaign",
        "attach_recipients",
        "send_sample",
        "start_campaign",
        "get_recipient_payload",
        "get_resources",
        "get_project_info",
        "test_connection",
    }
    assert methods <= set(dir(OtpiqHook))
    assert campaign.CreateCampaignOperator.template_fields[:3] == ("name", "template_id", "phone_number_id")
    for operator in (
        campaign.UpdateCampaignOperator,
        campaign.AttachRecipientsOperator,
        campaign.SendSampleOperator,
        campaign.StartCampaignOperator,
    ):
        assert operator.template_fields[0] == "campaign_id"
    with Sandbox() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.api_key


ERRORS = [
    value for value in vars(exceptions).values() if inspect.isclass(value) and value.__module__ == exceptions.__name__
]


def test_the_exception_hierarchy_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"(Otpiq\w+)( +\*)?", (exceptions.__doc__ or "").split("``*``")[0])
    assert {name for name, _ in drawn} == {error.__name__ for error in ERRORS}
    fails_at_once = {name for name, star in drawn if star}
    assert fails_at_once == {e.__name__ for e in ERRORS if issubclass(e, AirflowFailException)}


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_documented_and_has_the_root(error: type[Exception]) -> None:
    assert issubclass(error, exceptions.OtpiqError)
    assert issubclass(error, AirflowException)
    assert inspect.getdoc(error)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.system
def test_parsing_a_dag_loads_nothing_but_airflow_ours_and_the_standard_library() -> None:
    is_sdk = version("apache-airflow") >= "3"  # which loads what a DAG file needs only as it is named
    airflow_first = "from airflow.sdk import DAG, BaseOperator" if is_sdk else "import airflow.models.baseoperator"
    loaded = run_python(
        f"import sys, json; {airflow_first}; before = set(sys.modules)\n"
        "import airflow_provider_otpiq.operators.audience, airflow_provider_otpiq.operators.campaign\n"
        "import airflow_provider_otpiq.operators.report, airflow_provider_otpiq.sensors.report\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    modules = json.loads(loaded.splitlines()[-1])
    assert "airflow_provider_otpiq.operators.campaign" in modules
    ours = {"airflow", "airflow_provider_otpiq"} | sys.stdlib_module_names
    assert {module for module in modules if module.partition(".")[0] not in ours} == set()
    assert "airflow_provider_otpiq.hooks.otpiq" not in modules


@pytest.mark.system
def test_provider_info_and_the_package_import_nothing() -> None:
    loaded = run_python(
        "import sys; before = set(sys.modules)\n"
        "import airflow_provider_otpiq.get_provider_info\n"
        "print(sorted(set(sys.modules) - before - {'__future__'}))"
    )
    assert loaded.strip() == "['airflow_provider_otpiq', 'airflow_provider_otpiq.get_provider_info']"


def test_nothing_imports_the_sandbox_and_the_sandbox_imports_nothing_of_ours() -> None:
    package = REPOSITORY / "airflow_provider_otpiq"
    for path in package.rglob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (airflow\S*)", path.read_text(), re.MULTILINE)
        if path.is_relative_to(package / "sandbox"):
            assert all(name.startswith("airflow_provider_otpiq.sandbox") for name in imported), path
        else:
            assert not any("sandbox" in name for name in imported), path


@pytest.mark.parametrize("name", [name for name in vars(exceptions) if re.fullmatch("Otpiq.+Error", name)])
def test_an_error_that_is_made_again_from_its_text_says_nothing_twice(name: str) -> None:
    error = getattr(exceptions, name)("What happened.")
    again = type(error)(str(error))  # as Airflow's own serialisation does
    assert str(again) == str(error)


ALLOWED_IMPORTS: dict[str, set[str]] = {
    # By folder: what of this package it may import. Arrows point one way.
    "exceptions.py": set(),
    "_redaction.py": set(),
    "_validation_errors.py": set(),
    "_storage.py": {"exceptions"},
    "_progress.py": set(),
    "_audience": {
        "exceptions",
        "_progress",
        "_validation_errors",
        "_redaction",
        "_storage",
        "_models",
        "_http",
        "_audience",
    },
    "_http": {"exceptions", "_redaction", "_validation_errors", "_http", "__version__"},
    "_models": {"exceptions", "_redaction", "_validation_errors", "_models"},
    "_connection": {"exceptions", "_redaction", "_validation_errors", "_models", "_connection", "get_provider_info"},
    "_state": {"exceptions", "_storage", "_models", "_state"},
    "_broadcast": {
        "exceptions",
        "_redaction",
        "_progress",
        "_validation_errors",
        "_storage",
        "_models",
        "_audience",
        "_state",
        "_broadcast",
    },
    "_report": {
        "exceptions",
        "_redaction",
        "_progress",
        "_validation_errors",
        "_storage",
        "_models",
        "_audience",
        "_state",
        "_broadcast",
        "_report",
    },
    "sandbox": {"sandbox"},
}


@pytest.mark.parametrize("room", ALLOWED_IMPORTS)
def test_imports_point_one_way(room: str) -> None:
    package = Path(airflow_provider_otpiq.__file__).parent
    files = [package / room] if room.endswith(".py") else (package / room).rglob("*.py")
    for file in files:
        tree = ast.parse(file.read_text())
        for node in _runtime_imports(tree):
            module = node.module or ""
            assert room not in ("_http", "sandbox") or not module.startswith("airflow."), f"{file}: {module}"
            if module.split(".")[0] == "airflow_provider_otpiq":
                names = [module.split(".")[1]] if "." in module else [alias.name for alias in node.names]
                assert set(names) <= ALLOWED_IMPORTS[room], f"{file}: {module}"


def _runtime_imports(tree: ast.AST) -> Iterator[ast.ImportFrom]:
    """Find the imports that are not there for a type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _runtime_imports(node)
