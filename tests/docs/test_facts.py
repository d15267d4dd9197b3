"""Facts about the code in the documentation are true."""

from __future__ import annotations

import inspect
import re

import pytest

from airflow_provider_otpiq import exceptions
from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS
from airflow_provider_otpiq.operators import campaign
from airflow_provider_otpiq.sandbox.deviations import DEVIATIONS
from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION
from tests.docs.pages import DOCS


def section(page: str, heading: str) -> str:
    text = (DOCS / page).read_text()
    return re.split(r"^##* ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]


def test_the_tables_name_every_error() -> None:
    rows = re.findall(r"^\|.*", (DOCS / "errors-and-retries.md").read_text(), re.MULTILINE)
    errors = {error for error in vars(exceptions).values() if inspect.isclass(error)}
    leaves = {
        error.__name__ for error in errors if issubclass(error, exceptions.OtpiqError) and not error.__subclasses__()
    }
    assert set(re.findall(r"`(Otpiq\w+Error)`", "".join(rows))) == leaves


def test_the_table_lists_every_extra_with_its_default() -> None:
    rows = re.findall(r"^\| extra `(\w+)` \|.*\| ([^|]+) \|$", section("howto/connection.md", "Fields"), re.MULTILINE)
    defaults = {name: field["schema"]["default"] for name, field in CONNECTION_FIELDS.items()}  # type: ignore[index]
    assert dict(rows).keys() == defaults.keys()
    assert {name: default for name, default in rows if defaults[name] is not None} == {
        name: str(default).lower() for name, default in defaults.items() if default is not None
    }


@pytest.mark.parametrize("name", campaign.__all__)
def test_an_operators_section_names_each_of_its_fields(name: str) -> None:
    operators = (DOCS / "howto" / "operators.md").read_text()
    text = operators.split(f"## {name}\n")[1].split("\n## ")[0]
    text += section("howto/operators.md", "What they share")
    if "those of `AttachRecipientsOperator`" in " ".join(text.split()):
        text += section("howto/operators.md", "AttachRecipientsOperator")
    named = set(re.findall(r"`(\w+)`", text))
    assert set(getattr(campaign, name).template_fields) <= named


def test_the_layout_lists_every_module() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", section("architecture.md", "Layout"), re.MULTILINE)
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row) if not path.startswith("airflow_")]
    package = REPOSITORY / "airflow_provider_otpiq"
    assert [path for path in paths if not (package / path).exists() and not (REPOSITORY / path).exists()] == []
    named = {path.split("/")[0] for path in paths}
    modules = {path.relative_to(package).parts[0] for path in package.rglob("*.py")}
    assert modules - {"__init__.py"} <= named


def test_the_files_to_change_exist() -> None:
    table = (REPOSITORY / "CONTRIBUTING.md").read_text().split("## Where to change what\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!---|change)[^|]+ \| (.+) \|$", table, re.MULTILINE)
    paths = [path for row in rows for path in re.findall(r"`([\w/]+(?:\.\w+|/))`", row)]
    assert len(rows) == 11
    roots = (REPOSITORY, REPOSITORY / "airflow_provider_otpiq")
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []


WORKERS = "howto/several-workers.md"


def test_the_table_of_timeouts_has_airflows_options_and_defaults() -> None:
    column = 0 if AIRFLOW_VERSION.major >= 3 else 1
    table = section(WORKERS, "How long to wait before you check")
    rows = re.findall(r"^\|.*\| `(.+)` \| `(.+)` \| (\d+) \|$", table, re.MULTILINE)
    assert rows
    for *names, seconds in rows:
        assert float(airflow_options()[names[column]]) == int(seconds)


def test_airflow_has_the_options_of_the_page_on_workers() -> None:
    page = (DOCS / WORKERS).read_text()
    sections = "core|logging|secrets" if AIRFLOW_VERSION.major == 2 else "core|logging|secrets|workers"
    named = set(re.findall(rf"`(\[(?:{sections})\] \w+)", page))
    assert named
    assert named <= airflow_options().keys()
    assert f"`[core] max_map_length`, {airflow_options()['[core] max_map_length']}" in page


def airflow_options() -> dict[str, str]:
    """Map each option of Airflow to its default."""
    from airflow.configuration import retrieve_configuration_description

    return {
        f"[{name}] {option}": described["default"]
        for name, options in retrieve_configuration_description().items()
        for option, described in options["options"].items()
    }


def test_the_table_lists_every_deviation_of_the_sandbox() -> None:
    page = (DOCS / "howto" / "test-your-dags.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(name, ASSUMPTIONS[name].text, deviation.text) for name, deviation in DEVIATIONS.items()]


def test_the_code_and_the_pages_name_only_ids_of_assumptions() -> None:
    files = [*(REPOSITORY / "airflow_provider_otpiq").rglob("*.py"), *DOCS.rglob("*.md")]
    words = re.compile(r"(?<!-)[Aa]ssumptions?[\s(:`]+([a-z]+(?:-[a-z0-9]+)+)")
    named = {name for file in files for name in words.findall(re.sub(r'["#]\s+["#]', " ", file.read_text()))}
    assert named <= ASSUMPTIONS.keys()
    assert named >= {"null-clears-time", "state-refusal", "time-offset"}
