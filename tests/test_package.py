"""What other code relies on: names, imports, and the low cost of parsing a DAG file."""

import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_otpiq import exceptions
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators import audience, broadcast, campaign
from airflow_provider_otpiq.operators import report as report_operators
from airflow_provider_otpiq.sensors import report as report_sensors

REPOSITORY = Path(__file__).parent.parent
OPERATORS = [
    getattr(module, name)
    for module in (campaign, audience, broadcast, report_operators, report_sensors)
    for name in module.__all__
]


def test_airflow_finds_the_hook_by_its_names() -> None:
    names = (OtpiqHook.conn_type, OtpiqHook.default_conn_name, OtpiqHook.hook_name, OtpiqHook.conn_name_attr)
    assert names == ("otpiq", "otpiq_default", "OTPIQ", "otpiq_conn_id")


def fields(operator: type) -> set[str]:
    """Name what an operator and our classes above it accept."""
    ours = [vars(cls).get("__init__") for cls in operator.__mro__ if cls.__module__.startswith("airflow_provider")]
    parameters = [parameter for init in ours if init for parameter in inspect.signature(init).parameters.values()]
    return {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_page_names_each_field_of_an_operator(operator: type) -> None:
    guides = [path.read_text() for path in (REPOSITORY / "docs" / "howto").glob("*.md")]
    code = re.findall(r"`[^`\n]+`", "\n".join(guides))
    assert fields(operator)
    assert fields(operator) - set(re.findall(r"\w+", " ".join(code))) == set()


def test_contributing_lists_each_make_target() -> None:
    targets = re.findall(r"^([a-z][a-z0-9.-]*):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    table = re.findall(r"^\| `make ([^`]+)` \|", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted([*targets, "test-3.1"])


ERRORS = [
    value for value in vars(exceptions).values() if inspect.isclass(value) and value.__module__ == exceptions.__name__
]


def test_the_drawing_shows_the_exception_hierarchy() -> None:
    drawn = re.findall(r"(Otpiq\w+)( +\*)?", (exceptions.__doc__ or "").split("``*``")[0])
    assert {name for name, _ in drawn} == {error.__name__ for error in ERRORS}
    fails_at_once = {name for name, star in drawn if star}
    assert fails_at_once == {e.__name__ for e in ERRORS if issubclass(e, AirflowFailException)}


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_documented_and_has_the_root(error: type[Exception]) -> None:
    assert issubclass(error, exceptions.OtpiqError)
    assert issubclass(error, AirflowException)
    assert inspect.getdoc(error)
    text = str(error("What happened."))
    assert str(error(text)) == text  # as Airflow's serialization creates it


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.system
def test_parsing_a_dag_loads_nothing_but_airflow_ours_and_the_standard_library() -> None:
    is_sdk = version("apache-airflow") >= "3"  # which loads a name when it is first used
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
