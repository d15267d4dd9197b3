"""The operator: the fields that Airflow renders, the XComs that it pushes, and that it shows no personal data."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, task
from jinja2 import UndefinedError
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from tests.fakes import TaskInstance
from tests.operators.broadcasts import Run

PEOPLE = [
    {"id": "C-1", "phone": "0770 123 4567", "name": "Zaynab", "city": "Basra"},
    {"id": "C-2", "phone": "9647801234567", "name": "Hawraa", "city": "Erbil"},
    {"id": "C-3", "phone": "+9647701234567", "name": "Zaynab again", "city": "Basra"},
    {"id": "0770 999 1234", "phone": "0770 123 45", "name": "Mustafa", "city": "Basra"},
]
SECRETS = ("770 123", "7701234567", "7801234567", "Zaynab", "Hawraa", "Mustafa", "7709991234", "770 999")


@pytest.fixture
def context(dag: DAG) -> dict[str, Any]:
    return {"ti": TaskInstance(), "dag": dag, "params": {"city": "Basra", "folder": "summer"}, "run_id": "manual__1"}


@pytest.fixture
def people(tmp_path: Path) -> str:
    lines = [",".join(row.values()) for row in PEOPLE]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["id,phone,name,city", *lines]))
    return str(path)


@pytest.fixture
def prepare(context: dict[str, Any], tmp_path: Path, people: str) -> Run:
    fields: dict[str, Any] = {
        "source": people,
        "phone_number": "phone",
        "template_parameters": {"body": {"1": "name"}},
        "reference": "id",
        "output": f"{tmp_path}/{{{{ params.folder }}}}",
        "max_rejected": 1.0,
    }
    return Run(PrepareAudienceOperator, context, fields)


def rendered(operator: Any) -> str:
    from airflow.serialization.helpers import serialize_template_field

    return str([serialize_template_field(getattr(operator, name), name) for name in operator.template_fields])


def references(location: str) -> list[str]:
    parts = sorted(Path(location).parent.glob("parts/*"))
    return [recipient["reference"] for part in parts for recipient in json.loads(part.read_text())]


def test_an_audience_is_prepared_and_its_counts_are_pushed(
    prepare: Run, context: dict[str, Any], tmp_path: Path
) -> None:
    location = prepare()
    assert location == f"{tmp_path}/summer/manifest.json"
    assert references(location) == ["C-1", "C-2"]
    assert context["ti"].pushed == {
        "audience": {"rows": 4, "recipients": 2, "duplicates": 1, "suppressed": 0, "rejected": 1, "parts": 1}
    }
    prepare.pushed.clear()
    prepare(do_xcom_push=False)
    assert prepare.pushed == {}


def test_a_path_may_be_one_of_pathlib(prepare: Run, tmp_path: Path, people: str) -> None:
    """Airflow 3.0 would call its ``resolve``, which fails if the output does not exist yet."""
    for output, source in (("one", Path(people)), ("two", [Path(people).parent / "p*.csv"])):
        location = prepare(source=source, output=tmp_path / output)
        assert location == f"{tmp_path}/{output}/manifest.json"
        assert references(location) == ["C-1", "C-2"]


def test_every_field_is_rendered(prepare: Run, context: dict[str, Any], tmp_path: Path, people: str) -> None:
    context["params"] |= {"folder": str(tmp_path), "column": "phone", "name": "name", "town": "Basra", "none": None}
    (tmp_path / "opt_outs.csv").write_text("phone\n07801234567\n")
    prepare(
        source=["{{ params.folder }}/people.csv"],
        phone_number="{{ params.column }}",
        template_parameters={"body": {"1": "{{ params.name }}", "2": {"value": "{{ params.town }}"}}},
        reference="{{ params.none }}",
        suppress=["{{ params.folder }}/opt_outs.csv"],
        suppress_phone_number="{{ params.column }}",
        output="{{ params.folder }}/{{ run_id }}",
        max_rejected="{{ 0.5 }}",
        default_region="{{ 'IQ' }}",
        file_format="{{ 'csv' }}",
        delimiter="{{ ',' }}",
        encoding="{{ 'utf-8' }}",
        memory_limit="{{ '128MB' }}",
    )
    (part,) = tmp_path.glob("manual__1/parts/*")
    assert json.loads(part.read_text())[0] == {
        "phoneNumber": "9647701234567",
        "templateParameters": {"body": {"1": "Zaynab", "2": "Basra"}},
    }


def test_native_rendering_gives_the_fields_their_types(prepare: Run, context: dict[str, Any], people: str) -> None:
    native = DAG("native", schedule=None, render_template_as_native_obj=True, start_date=pendulum.datetime(2026, 1, 1))
    context |= {"dag": native, "params": {"folder": "summer", "sources": [people], "limit": 0.25}}
    location = prepare(source="{{ params.sources }}", max_rejected="{{ params.limit }}")
    assert references(location) == ["C-1", "C-2"]


def test_no_null_values_are_a_value(prepare: Run) -> None:
    rows = [PEOPLE[0] | {"name": "NULL"}]
    assert references(prepare(source=lambda: rows, null_values=[])) == ["C-1"]


def test_other_fields_may_render_to_an_empty_value(prepare: Run) -> None:
    optional = ("reference", "file_format", "delimiter", "memory_limit")
    assert prepare(**dict.fromkeys(optional, "{{ none }}"))


def test_one_in_twenty_rows_may_be_rejected_by_default(prepare: Run, context: dict[str, Any]) -> None:
    rows = [{"phone": "07" if at < 2 else f"96477{at:08}", "name": "Ali"} for at in range(40)]
    assert PrepareAudienceOperator(task_id="x", source="x", phone_number="x", output="x").max_rejected == 0.05
    prepare(source=lambda: rows, reference=None, max_rejected=None)
    assert context["ti"].pushed["audience"]["rejected"] == 2
    error = prepare.fail(source=lambda: rows[:39], reference=None, max_rejected=None)
    assert "max_rejected: 2 of 39 rows rejected; expected at most 0.05 of the rows" in str(error)


def of_a_city(params: dict[str, Any], ti: Any) -> Iterator[dict[str, str]]:
    assert ti.try_number == 1
    yield from (row for row in PEOPLE if row["city"] == params["city"])


@pytest.mark.parametrize(
    ("source", "expected", "name"),
    [
        (of_a_city, ["C-1"], "of_a_city"),
        (lambda: PEOPLE, ["C-1", "C-2"], "<lambda>"),
        (partial(list, PEOPLE), ["C-1", "C-2"], "partial"),
    ],
)
def test_a_callable_is_called_when_the_task_executes_and_shows_no_personal_data(
    prepare: Run, context: dict[str, Any], source: Any, expected: list[str], name: str
) -> None:
    operator = prepare.make(source=source, suppress=partial(list, [{"phone": "07709991234"}]))
    operator.render_template_fields(context)
    before = rendered(operator)
    location = operator.execute(context)
    assert references(location) == expected
    assert name in json.loads(Path(location).read_text())["source"][0]
    assert name in before
    assert not any(secret in before + rendered(operator) for secret in SECRETS)


NUMBERS = ["9647701234567", "0770 999 1234"]
BROKEN = "{{ nothing.at.all }}"


PEOPLE_AS_PATHS = [
    NUMBERS,
    [int(NUMBERS[0])],
    PEOPLE,
    tuple(PEOPLE),
    [PEOPLE],
    PEOPLE[0],
    NUMBERS[1],
    "٠٧٧٠ ١٢٣ ٤٥٦٧",
    f"Zaynab {NUMBERS[0]}",
    "{{ params.people }}",
    "{{ params.numbers }}",
    "{{ params.people | tojson }}",
    "{{ params.numbers | join('\n') }}",
    [*PEOPLE, {"phone": BROKEN}],
]
BESIDE_A_BROKEN_FIELD = [PEOPLE, PEOPLE[0], NUMBERS[1], "{{ params.people }}", [*PEOPLE, {"phone": BROKEN}]]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("value", "broken"),
    [*((each, {}) for each in PEOPLE_AS_PATHS), *((each, {"reference": BROKEN}) for each in BESIDE_A_BROKEN_FIELD)],
)
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_recipients_that_are_set_as_a_path_are_not_shown(
    prepare: Run,
    context: dict[str, Any],
    people: str,
    field: str,
    value: Any,
    broken: dict[str, str],
    native: bool,
    logged: Callable[[], str],
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context |= {"dag": dag, "params": {"folder": "summer", "people": PEOPLE, "numbers": [*NUMBERS, None][: 2 + native]}}
    error = prepare.fail(UndefinedError if broken else OtpiqValidationError, **({field: value} | broken))
    seen = f"{error}{rendered(prepare.task)}{logged()}"
    assert [secret for secret in (*SECRETS, "٤٥٦٧") if secret in seen] == []


@pytest.mark.parametrize("path", ["9647701234567.csv", "exports/20261128123000", "/data/*", "[0-9]*.csv", "parts-2026"])
def test_a_path_with_digits_is_a_path(prepare: Run, path: str) -> None:
    prepare.fail(FileNotFoundError, match=re.escape(path), source=path, file_format="csv")
    assert path in rendered(prepare.task)


def test_no_person_is_logged_pushed_or_raised(prepare: Run, logged: Callable[[], str]) -> None:
    location = prepare()
    shown = rendered(prepare.task)
    errors = [str(prepare.fail(**fields)) for fields in ({"max_rejected": 0}, {"phone_number": "missing"})]
    log = logged()
    assert "Prepared" in log
    excluded = (Path(location).parent / "excluded.csv").read_text()
    seen = f"{log}{json.dumps(prepare.pushed)}{location}{shown}{errors}{excluded}"
    assert [secret for secret in SECRETS if secret in seen] == []


def test_an_xcom_arg_makes_the_dependency_for_each_field(prepare: Run, dag: DAG) -> None:
    with dag:

        @task
        def find() -> str:
            return "x"

        fields = {name: find.override(task_id=name)() for name in ("output", "suppress", "reference", "phone_number")}
        operator = prepare.make(source=find.override(task_id="source")(), **fields)
    assert operator.upstream_task_ids == {"source", *fields}


# Mapped tasks with one output


@pytest.fixture
def mapped(prepare: Run, tmp_path: Path) -> Callable[[int], Run]:
    prepare.defaults["output"] = f"{tmp_path}/audience"

    def mapped(map_index: int) -> Run:
        prepare.context["ti"].map_index = map_index
        return prepare

    return mapped


def test_two_mapped_tasks_with_one_output_are_an_error(
    mapped: Callable[[int], Run], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    location = mapped(0)()
    assert str(mapped(1).fail(source=lambda: PEOPLE[1:])).replace(str(tmp_path), "…") == snapshot
    assert references(location) == ["C-1", "C-2"]
    assert references(mapped(0)(reference="city")) == ["Basra", "Erbil"]  # a clear


def test_two_mapped_tasks_with_callables_of_one_name_are_an_error_too(mapped: Callable[[int], Run]) -> None:
    def rows(ti: Any) -> list[dict[str, str]]:
        return [PEOPLE[ti.map_index]]

    location = mapped(0)(source=rows)
    mapped(1).fail(match="map index 0 of this task", source=rows)
    assert references(location) == ["C-1"]


def test_a_mapped_task_that_runs_beside_another_with_its_output_is_an_error(mapped: Callable[[int], Run]) -> None:
    def rows() -> list[dict[str, str]]:
        mapped(1)()
        mapped(0)
        return PEOPLE

    mapped(0).fail(match="map index 1 of this task", source=rows)


def test_a_mapped_tasks_audience_is_replaced_by_another_run_and_found_under_another_index(
    mapped: Callable[[int], Run], context: dict[str, Any]
) -> None:
    mapped(0)()
    assert references(mapped(1)()) == ["C-1", "C-2"]  # a clear, in another order
    for run_id in ("manual__2", "manual__3"):
        context["ti"].run_id = run_id
        location = mapped(0)(source=lambda: PEOPLE[1:])
        mapped(1).fail(match="map index 0 of this task")
        assert references(location) == ["C-2", "C-3"]
