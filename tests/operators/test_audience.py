"""The operator: its fields as Airflow renders them, what it pushes, and that it shows no personal data."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, task
from jinja2 import UndefinedError

from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast
from airflow_provider_otpiq._report.request import AwaitDeliveryRequest, ReportRequest
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.fakes import TaskInstance, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syrupy.assertion import SnapshotAssertion

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


def prepare(dag: DAG, tmp_path: Path, source: Any, **fields: Any) -> PrepareAudienceOperator:
    given: dict[str, Any] = {
        "phone_number": "phone",
        "template_parameters": {"body": {"1": "name"}},
        "reference": "id",
        "output": f"{tmp_path}/{{{{ params.folder }}}}",
        "max_rejected": 1.0,
    }
    return PrepareAudienceOperator(task_id=f"prepare_{len(dag.tasks)}", dag=dag, source=source, **(given | fields))


def rendered(operator: Any) -> str:
    from airflow.serialization.helpers import serialize_template_field

    return str([serialize_template_field(getattr(operator, name), name) for name in operator.template_fields])


def references(location: str) -> list[str]:
    parts = sorted(Path(location).parent.glob("parts/*"))
    return [recipient["reference"] for part in parts for recipient in json.loads(part.read_text())]


def test_an_audience_is_prepared_and_its_counts_are_pushed(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str
) -> None:
    location = execute(prepare(dag, tmp_path, people), context)
    assert location == f"{tmp_path}/summer/manifest.json"
    assert references(location) == ["C-1", "C-2"]
    assert context["ti"].pushed == {
        "audience": {"rows": 4, "recipients": 2, "duplicates": 1, "suppressed": 0, "rejected": 1, "parts": 1}
    }


def test_a_path_may_be_one_of_pathlib(dag: DAG, context: dict[str, Any], tmp_path: Path, people: str) -> None:
    """Airflow 3.0 would call its ``resolve``, and find that the output is not there yet."""
    for output, source in (("one", Path(people)), ("two", [Path(people).parent / "p*.csv"])):
        location = execute(prepare(dag, tmp_path, source, output=tmp_path / output), context)
        assert location == f"{tmp_path}/{output}/manifest.json"
        assert references(location) == ["C-1", "C-2"]


def test_what_is_not_to_be_pushed_is_not(dag: DAG, context: dict[str, Any], tmp_path: Path, people: str) -> None:
    execute(prepare(dag, tmp_path, people, do_xcom_push=False), context)
    assert context["ti"].pushed == {}


def test_every_field_is_rendered(dag: DAG, context: dict[str, Any], tmp_path: Path, people: str) -> None:
    context["params"] |= {"folder": str(tmp_path), "column": "phone", "name": "name", "town": "Basra", "none": None}
    (tmp_path / "opt_outs.csv").write_text("phone\n07801234567\n")
    operator = prepare(
        dag,
        tmp_path,
        ["{{ params.folder }}/people.csv"],
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
    execute(operator, context)
    (part,) = tmp_path.glob("manual__1/parts/*")
    assert json.loads(part.read_text())[0] == {
        "phoneNumber": "9647701234567",
        "templateParameters": {"body": {"1": "Zaynab", "2": "Basra"}},
    }


def test_native_rendering_gives_the_fields_their_types(context: dict[str, Any], tmp_path: Path, people: str) -> None:
    native = DAG("native", schedule=None, render_template_as_native_obj=True, start_date=pendulum.datetime(2026, 1, 1))
    context |= {"dag": native, "params": {"folder": "summer", "sources": [people], "limit": 0.25}}
    operator = prepare(native, tmp_path, "{{ params.sources }}", max_rejected="{{ params.limit }}")
    assert references(execute(operator, context)) == ["C-1", "C-2"]


REQUIRED_IF_SET = PrepareAudienceOperator.required_if_set


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("empty", ["{{ params.none }}", "{{ params.get('nothing', '') }}", "None", " "])
@pytest.mark.parametrize("field", REQUIRED_IF_SET)
def test_a_field_that_decides_about_people_must_not_render_to_an_empty_value(
    context: dict[str, Any], tmp_path: Path, people: str, field: str, empty: str, native: bool
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native, start_date=pendulum.datetime(2026, 1, 1))
    context |= {"dag": dag, "params": {"folder": "summer", "none": None}}
    with pytest.raises(OtpiqValidationError) as caught:
        execute(prepare(dag, tmp_path, people, **{field: empty}), context)
    (error,) = caught.value.errors
    assert error.startswith(f"{field}: is set and rendered to an empty value")


@pytest.mark.parametrize("field", REQUIRED_IF_SET)
def test_a_required_field_that_a_mapping_leaves_empty_is_an_error(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str, field: str
) -> None:
    mapped = PrepareAudienceOperator.partial(
        task_id="prepare", dag=dag, source=people, phone_number="phone", output=f"{tmp_path}/audience"
    ).expand(**{field: [None, "x"]})
    with pytest.raises(OtpiqValidationError, match=f"{field}: is set and rendered to an empty value"):
        execute(mapped.unmap({field: None}), context)


def test_a_list_of_an_empty_value_is_an_empty_value(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str
) -> None:
    context["params"]["none"] = None
    with pytest.raises(OtpiqValidationError, match="suppress: is set and rendered to an empty value"):
        execute(prepare(dag, tmp_path, people, suppress=["{{ params.none }}"]), context)


def test_no_null_values_are_a_value(dag: DAG, context: dict[str, Any], tmp_path: Path) -> None:
    rows = [PEOPLE[0] | {"name": "NULL"}]
    assert references(execute(prepare(dag, tmp_path, lambda: rows, null_values=[]), context)) == ["C-1"]


@pytest.mark.parametrize("field", ["reference", "file_format", "delimiter", "memory_limit"])
def test_another_field_may_render_to_an_empty_value(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str, field: str
) -> None:
    context["params"]["none"] = None
    assert execute(prepare(dag, tmp_path, people, **{field: "{{ params.none }}"}), context)


def test_the_fields_that_are_required_if_set_are_those_of_the_requests() -> None:
    for operator, request in (
        (PrepareAudienceOperator, AudienceRequest),
        (CreateBroadcastOperator, CreateBroadcast),
        (StartBroadcastOperator, StartBroadcast),
        (DeliveryReportOperator, ReportRequest),
        (DeliverySensor, AwaitDeliveryRequest),
    ):
        assert set(operator.required_if_set) == request.required_if_set.keys() & set(operator.template_fields), operator
        assert request.required_if_set.keys() <= request.model_fields.keys(), operator


def test_one_in_twenty_rows_may_be_rejected_by_default(dag: DAG, context: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"phone": "07" if at < 2 else f"96477{at:08}", "name": "Ali"} for at in range(40)]
    operator = prepare(dag, tmp_path, lambda: rows, reference=None, max_rejected=None)
    assert PrepareAudienceOperator(task_id="x", source="x", phone_number="x", output="x").max_rejected == 0.05
    execute(operator, context)
    assert context["ti"].pushed["audience"]["rejected"] == 2
    operator = prepare(dag, tmp_path, lambda: rows[:39], reference=None, max_rejected=None)
    with pytest.raises(OtpiqValidationError, match=r"2 of 39 rows rejected; expected at most 0\.05 of the rows"):
        execute(operator, context)


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
def test_a_callable_is_called_when_the_task_executes_and_shows_nobody(
    dag: DAG, context: dict[str, Any], tmp_path: Path, source: Any, expected: list[str], name: str
) -> None:
    operator = prepare(dag, tmp_path, source, suppress=partial(list, [{"phone": "07709991234"}]))
    operator.render_template_fields(context)  # type: ignore[arg-type]
    before = rendered(operator)
    location = operator.execute(context)  # type: ignore[arg-type]
    assert references(location) == expected
    assert name in json.loads(Path(location).read_text())["source"][0]
    assert name in before
    assert not any(secret in before + rendered(operator) for secret in SECRETS)


NUMBERS = ["9647701234567", "0770 999 1234"]
BROKEN = "{{ nothing.at.all }}"


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("broken", [{}, {"reference": BROKEN}])
@pytest.mark.parametrize(
    "value",
    [
        NUMBERS,
        list(map(int, [NUMBERS[0]])),
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
    ],
)
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_people_in_the_place_of_a_path_are_shown_nowhere(
    context: dict[str, Any],
    tmp_path: Path,
    people: str,
    field: str,
    value: Any,
    broken: dict[str, str],
    native: bool,
    capfd: pytest.CaptureFixture[str],
    caplog: Any,
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context |= {"dag": dag, "params": {"folder": "summer", "people": PEOPLE, "numbers": [*NUMBERS, None][: 2 + native]}}
    operator = prepare(dag, tmp_path, **({"source": people, field: value} | broken))
    with pytest.raises(UndefinedError if broken else OtpiqValidationError) as caught:
        execute(operator, context)
    seen = f"{caught.value}{rendered(operator)}{''.join(capfd.readouterr())}{caplog.text}"
    assert [secret for secret in (*SECRETS, "٤٥٦٧") if secret in seen] == []


@pytest.mark.parametrize("path", ["9647701234567.csv", "exports/20261128123000", "/data/*", "[0-9]*.csv", "parts-2026"])
def test_a_path_with_digits_is_a_path(dag: DAG, context: dict[str, Any], tmp_path: Path, path: str) -> None:
    operator = prepare(dag, tmp_path, path, file_format="csv")
    with pytest.raises(FileNotFoundError, match=re.escape(path)):
        execute(operator, context)
    assert path in rendered(operator)


def test_nobody_is_logged_pushed_or_raised(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    operator = prepare(dag, tmp_path, people)
    location = execute(operator, context)
    with pytest.raises(OtpiqValidationError) as caught:
        execute(prepare(dag, tmp_path, people, max_rejected=0), context)
    with pytest.raises(OtpiqValidationError) as refused:
        execute(prepare(dag, tmp_path, people, phone_number="missing"), context)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "Prepared" in logged
    excluded = (Path(location).parent / "excluded.csv").read_text()
    pushed = json.dumps(context["ti"].pushed)
    seen = f"{logged}{pushed}{location}{rendered(operator)}{caught.value}{refused.value}{excluded}"
    assert [secret for secret in SECRETS if secret in seen] == []


def test_an_xcom_arg_makes_the_dependency_for_each_field(dag: DAG, tmp_path: Path) -> None:
    with dag:

        @task
        def find() -> str:
            return "x"

        fields = {name: find.override(task_id=name)() for name in ("output", "suppress", "reference", "phone_number")}
        operator = prepare(dag, tmp_path, find.override(task_id="source")(), **fields)
    assert operator.upstream_task_ids == {"source", *fields}


def test_it_can_be_mapped(dag: DAG, tmp_path: Path) -> None:
    mapped = PrepareAudienceOperator.partial(
        task_id="prepare", dag=dag, phone_number="phone", output=f"{tmp_path}/{{{{ ti.map_index }}}}"
    ).expand(source=["a.csv", "b.csv"])
    assert mapped.task_id == "prepare"


def run_mapped(dag: DAG, context: dict[str, Any], tmp_path: Path, map_index: int, source: Any, **fields: Any) -> str:
    context["ti"].map_index = map_index
    operator = prepare(dag, tmp_path, source, output=f"{tmp_path}/audience", **fields)
    return str(execute(operator, context))


def test_two_mapped_tasks_with_one_output_are_an_error(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str, snapshot: SnapshotAssertion
) -> None:
    location = run_mapped(dag, context, tmp_path, 0, people)
    with pytest.raises(OtpiqValidationError) as caught:
        run_mapped(dag, context, tmp_path, 1, lambda: PEOPLE[1:])
    assert str(caught.value).replace(str(tmp_path), "…") == snapshot
    assert references(location) == ["C-1", "C-2"]
    assert references(run_mapped(dag, context, tmp_path, 0, people, reference="city")) == ["Basra", "Erbil"]  # a clear


def test_two_mapped_tasks_with_callables_of_one_name_are_an_error_too(
    dag: DAG, context: dict[str, Any], tmp_path: Path
) -> None:
    def rows(ti: Any) -> list[dict[str, str]]:
        return [PEOPLE[ti.map_index]]

    location = run_mapped(dag, context, tmp_path, 0, rows)
    with pytest.raises(OtpiqValidationError, match="map index 0 of this task"):
        run_mapped(dag, context, tmp_path, 1, rows)
    assert references(location) == ["C-1"]


def test_a_mapped_task_that_meets_another_in_the_middle_is_an_error(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str
) -> None:
    def rows() -> list[dict[str, str]]:
        run_mapped(dag, context, tmp_path, 1, people)
        context["ti"].map_index = 0
        return PEOPLE

    with pytest.raises(OtpiqValidationError, match="map index 1 of this task"):
        run_mapped(dag, context, tmp_path, 0, rows)


def test_a_mapped_tasks_audience_is_replaced_by_another_run_and_found_under_another_index(
    dag: DAG, context: dict[str, Any], tmp_path: Path, people: str
) -> None:
    run_mapped(dag, context, tmp_path, 0, people)
    assert references(run_mapped(dag, context, tmp_path, 1, people)) == ["C-1", "C-2"]  # a clear, in another order
    for run_id in ("manual__2", "manual__3"):
        context["ti"].run_id = run_id
        location = run_mapped(dag, context, tmp_path, 0, lambda: PEOPLE[1:])
        with pytest.raises(OtpiqValidationError, match="map index 0 of this task"):
            run_mapped(dag, context, tmp_path, 1, people)
        assert references(location) == ["C-2", "C-3"]


def test_init_only_assigns(dag: DAG, tmp_path: Path) -> None:
    operator = prepare(dag, tmp_path, None, phone_number=None, output=None)
    assert operator.output_folder is None
