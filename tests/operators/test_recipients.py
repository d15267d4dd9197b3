"""Operators that take recipients: what the field may be, what Airflow gets to see of it, what is pushed."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task
from jinja2 import UndefinedError

from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqConnectionError, OtpiqValidationError
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from airflow_provider_otpiq.operators.recipients import RedactedRecipients
from tests.fakes import CREATE, TaskInstance, execute

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

PEOPLE = ["0770 123 4567", "+964 780 123 4567", 9647501234567]
DIGITS = ["9647701234567", "9647801234567", "9647501234567"]
WITH_PARAMETERS = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}

_task_numbers = count()


@pytest.fixture
def campaign_id(sandbox_hook: OtpiqHook) -> str:
    return str(sandbox_hook.create_campaign(**CREATE)["_id"])


def attach(dag: DAG, campaign_id: str, recipients: Any, **fields: Any) -> AttachRecipientsOperator:
    number = next(_task_numbers)
    return AttachRecipientsOperator(
        task_id=f"attach_{number}", dag=dag, campaign_id=campaign_id, recipients=recipients, **fields
    )


def attached(sandbox: Sandbox) -> list[str]:
    return [recipient["phoneNumber"] for recipient in sandbox.requests[-1]["body"]["recipients"]]


def as_airflow_stores_it(operator: Any) -> Any:
    from airflow.serialization.helpers import serialize_template_field

    return serialize_template_field(operator.recipients, "recipients")


# What it may be


def people() -> Iterator[Any]:
    yield from PEOPLE


def of_the_context(ti: Any, params: dict[str, Any]) -> list[Any]:
    assert ti.try_number == 1
    assert params["name"] == "Autumn"
    return PEOPLE


def as_airflow_calls_it(context: Any, jinja_env: Any) -> list[Any]:
    assert context["ti"]
    assert jinja_env.from_string("{{ 1 }}").render() == "1"
    return PEOPLE


def of_all(**context: Any) -> list[Any]:
    assert context["params"]
    return PEOPLE


class Reader:
    def __call__(self) -> Iterator[Any]:
        return people()


@pytest.mark.parametrize(
    "recipients",
    [
        PEOPLE,
        tuple(PEOPLE),
        people,
        Reader(),
        lambda: PEOPLE,
        partial(list, PEOPLE),
        of_the_context,
        as_airflow_calls_it,
        of_all,
    ],
)
def test_recipients_are_a_list_or_a_callable(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, recipients: Any
) -> None:
    assert execute(attach(dag, campaign_id, recipients), context) == campaign_id
    assert attached(sandbox) == DIGITS


def test_an_xcom_arg_makes_the_dependency(dag: DAG) -> None:
    with dag:

        @task
        def read() -> list[str]:
            return []

        operator = attach(dag, "{{ 1 }}", read())
    assert operator.upstream_task_ids == {"read"}


KEY = "{{ conn.otpiq_default.password }}"


def of_a_person(name: str) -> list[dict[str, Any]]:
    return [{"phoneNumber": "0770 123 4567", "templateParameters": {"body": {"1": name, "2": name}}}]


@pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])
@pytest.mark.parametrize("given_as", ["list", "tuple", "callable", "file", "xcom", "nested xcom", "mapped", "partial"])
@pytest.mark.parametrize("native", [True, False])
def test_what_is_inside_of_recipients_is_never_a_template(
    context: dict[str, Any], sandbox: Sandbox, campaign_id: str, tmp_path: Path, native: bool, given_as: str, kind: Any
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context |= {"dag": dag, "conn": {"otpiq_default": {"password": "sk_live_secret"}}}
    rows, path = of_a_person(KEY), tmp_path / "recipients.json"
    path.write_text(json.dumps(rows))
    fields = {"task_id": "reach", "dag": dag, "campaign_id": campaign_id, "validate_parameters": False}
    if given_as in ("mapped", "partial"):
        fields |= {"recipients": rows} if given_as == "partial" else {}
        expanded = {"recipients": [rows]} if given_as == "mapped" else {"otpiq_conn_id": ["otpiq_default"]}
        operator = kind.partial(**fields).expand(**expanded).unmap({name: value[0] for name, value in expanded.items()})
        operator._do_render_template_fields(operator, operator.template_fields, context, dag.get_template_env(), set())
        operator.execute(context)
    else:
        ways = {"list": rows, "tuple": tuple(rows), "callable": lambda: rows, "file": str(path)}
        ways |= {"xcom": XCom(rows), "nested xcom": [XCom(rows[0])]}
        execute(kind(**fields, recipients=ways[given_as]), context)
    body = sandbox.requests[-1]["body"]
    assert body["recipients"][0]["templateParameters"]["body"] == {"1": KEY, "2": KEY}


class XCom(ResolveMixin):
    """What a task has returned."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Iterator[Any]:
        return iter(())

    def resolve(self, context: Any, **_: Any) -> Any:  # Airflow 2 has one more argument
        return self.value


def test_xcoms_in_a_list_are_resolved(dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str) -> None:
    first, *others = PEOPLE
    execute(attach(dag, campaign_id, [{"phoneNumber": XCom(first)}, *map(XCom, others)]), context)
    assert attached(sandbox) == DIGITS


def test_native_rendering_makes_a_list(context: dict[str, Any], sandbox: Sandbox, campaign_id: str) -> None:
    native = DAG("native", schedule=None, render_template_as_native_obj=True)
    context |= {"dag": native, "people": PEOPLE}
    operator = attach(native, campaign_id, "{{ people }}")
    execute(operator, context)
    assert attached(sandbox) == DIGITS
    assert as_airflow_stores_it(operator) == "3 recipients"


def test_a_string_is_no_list(dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str) -> None:
    operator = attach(dag, campaign_id, "{{ ['9647701234567'] }}")
    with pytest.raises(OtpiqValidationError, match="render_template_as_native_obj") as caught:
        execute(operator, context)
    assert "9647701234567" not in f"{caught.value}{as_airflow_stores_it(operator)}"
    assert len(sandbox.requests) == 1


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A part of a prepared audience."""
    part = tmp_path / "parts" / "00000.json"
    part.parent.mkdir()
    recipients = [{"phoneNumber": number, "templateParameters": {}, "reference": "C-1042"} for number in DIGITS]
    part.write_text(json.dumps(recipients))
    return part


@pytest.mark.parametrize(
    "named",
    [str, Path.as_uri, ObjectStoragePath, lambda part: ObjectStoragePath(part.as_uri())],
    ids=["path", "url", "object storage path", "object storage url"],
)
@pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])
def test_recipients_are_the_ones_in_a_file(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, part: Path, kind: Any, named: Any
) -> None:
    operator = kind(task_id=f"file_{next(_task_numbers)}", dag=dag, campaign_id=campaign_id, recipients=named(part))
    operator.render_template_fields(context)
    shown = as_airflow_stores_it(operator)
    assert shown == f"the recipients in {named(part)}"
    operator.execute(context)
    assert attached(sandbox) == DIGITS
    assert as_airflow_stores_it(operator) == shown


def test_the_path_of_a_file_may_be_a_template_and_the_file_come_later(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, part: Path
) -> None:
    operator = attach(dag, campaign_id, f"{part.parent}/{{{{ params.name }}}}.json")
    operator.render_template_fields(context)  # type: ignore[arg-type]
    part.rename(part.parent / "Autumn.json")
    operator.execute(context)  # type: ignore[arg-type]
    assert attached(sandbox) == DIGITS


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "recipients: {part}: there is no such file; nothing was sent."),
        *(
            (content, "recipients: {part}: must be a JSON list of recipients, as each part of a prepared audience is;")
            for content in (b"", b"[", b"{}", b'"9647701234567"', b'[{"phoneNumber": "9647701234567"', b'["\xff"]')
        ),
        (b"[]", "recipients: is empty"),
    ],
)
def test_a_file_without_recipients_is_an_error_that_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, part: Path, content: Any, error: str
) -> None:
    part.unlink() if content is None else part.write_bytes(content)
    with pytest.raises(OtpiqValidationError, match=re.escape(error.format(part=part))) as caught:
        execute(attach(dag, campaign_id, str(part)), context)
    assert "9647701234567" not in str(caught.value)
    assert len(sandbox.requests) == 1


def test_a_folder_in_the_place_of_a_file_is_an_error_that_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, part: Path
) -> None:
    part.unlink()
    part.mkdir()
    with pytest.raises(OtpiqValidationError, match="is a folder; set the path of a file in it; nothing was sent"):
        execute(attach(dag, campaign_id, str(part)), context)
    assert len(sandbox.requests) == 1


def test_a_file_in_an_unknown_store_is_an_error_that_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    with pytest.raises(OtpiqConfigurationError, match=r"nowhere://x: cannot be reached \(.*nowhere"):
        execute(attach(dag, campaign_id, "nowhere://x/a.json"), context)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("recipients", "suffix"),
    [
        ("parts/customers.csv", ".csv"),
        ("s3://crm/customers.csv.GZ", ".csv.gz"),
        ("/data/customers.jsonl", ".jsonl"),
        ("/data/part.parquet", ".parquet"),
        ("/data/customers.xlsx", ".xlsx"),
        ("/data/00000.json.gz", ".json.gz"),
        (ObjectStoragePath("file:///data/customers.csv"), ".csv"),
    ],
)
def test_a_file_of_rows_names_the_operator_that_reads_it(
    dag: DAG, context: dict[str, Any], campaign_id: str, sandbox: Sandbox, recipients: Any, suffix: str
) -> None:
    before = len(sandbox.requests)
    with pytest.raises(OtpiqValidationError, match=f"found the path of a {re.escape(suffix)} file.") as caught:
        execute(attach(dag, campaign_id, recipients), context)
    assert "Prepare that file with PrepareAudienceOperator" in str(caught.value)
    assert len(sandbox.requests) == before


def test_a_path_object_of_a_file_of_rows_names_it_too(sandbox_hook: OtpiqHook, campaign_id: str) -> None:
    with pytest.raises(OtpiqValidationError, match=r"found the path of a \.csv file"):
        sandbox_hook.check_recipients(campaign_id=campaign_id, recipients=Path("/data/customers.csv"))


@pytest.mark.parametrize("recipients", ["parts/00000", "s3://audience/parts/", ".json", "\n.json", "0770 123 4567"])
def test_another_string_is_no_path(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, recipients: str
) -> None:
    operator = attach(dag, campaign_id, recipients)
    with pytest.raises(
        OtpiqValidationError, match=r"or an operator's path of a \.json file; found a string of \d+ char"
    ):
        execute(operator, context)
    assert as_airflow_stores_it(operator) == "recipients as a str"
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("recipients", [None, "", [], lambda: None, lambda: [], lambda: iter(())])
def test_no_recipients_are_an_error_that_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, recipients: Any
) -> None:
    with pytest.raises(OtpiqValidationError, match="recipients: "):
        execute(attach(dag, campaign_id, recipients), context)
    assert len(sandbox.requests) == 1


def test_a_callable_is_called_when_the_task_executes_and_not_before(
    dag: DAG, context: dict[str, Any], campaign_id: str
) -> None:
    called = []

    def people() -> list[Any]:
        called.append(True)
        return PEOPLE

    operator = attach(dag, campaign_id, people)
    operator.render_template_fields(context)  # type: ignore[arg-type]
    assert not called
    operator.execute(context)  # type: ignore[arg-type]
    assert called == [True]


@pytest.mark.parametrize("error", [FileNotFoundError("no file"), ValueError("row 5"), UnicodeError("half a byte")])
def test_an_error_of_the_callable_is_its_own(
    dag: DAG, context: dict[str, Any], campaign_id: str, error: Exception
) -> None:
    def people() -> Iterator[str]:
        yield DIGITS[0]
        raise error

    with pytest.raises(type(error)) as caught:
        execute(attach(dag, campaign_id, people), context)
    assert caught.value is error


def test_what_a_partial_has_chosen_is_not_taken_from_the_context(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    def members_of(params: list[Any]) -> list[Any]:
        return params

    execute(attach(dag, campaign_id, partial(members_of, params=PEOPLE)), context)
    assert attached(sandbox) == DIGITS


def test_a_task_that_was_not_called_is_no_list(dag: DAG, context: dict[str, Any], campaign_id: str) -> None:
    other: Any = attach(dag, campaign_id, PEOPLE)
    operator = attach(dag, campaign_id, lambda: other.output)
    with pytest.raises(OtpiqValidationError, match="must be a list of recipients; found a PlainXComArg"):
        execute(operator, context)


# What Airflow gets to see


@pytest.mark.parametrize(
    ("recipients", "before", "after"),
    [
        (PEOPLE, "3 recipients", "3 recipients"),
        (tuple(PEOPLE), "3 recipients", "3 recipients"),
        (people, "the recipients of people", "3 recipients"),
        (Reader(), "the recipients of Reader", "3 recipients"),
    ],
)
def test_the_rendered_field_is_a_count(
    dag: DAG, context: dict[str, Any], campaign_id: str, recipients: Any, before: str, after: str
) -> None:
    operator = attach(dag, campaign_id, recipients)
    operator.render_template_fields(context)  # type: ignore[arg-type]
    assert as_airflow_stores_it(operator) == before
    operator.execute(context)  # type: ignore[arg-type]
    assert as_airflow_stores_it(operator) == after


@pytest.mark.parametrize("recipients", [iter(PEOPLE), "0770 123 4567", b"0770", object()])
def test_of_anything_else_only_its_type_is_shown(recipients: Any) -> None:
    shown = str(RedactedRecipients(recipients))
    assert shown == f"recipients as a {type(recipients).__name__}"


def test_nothing_of_a_person_is_logged_pushed_or_raised(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(attach(dag, campaign_id, people), context)
    execute(attach(dag, campaign_id, people), context)  # all of them are there already
    response = {"success": True, "data": {"_id": campaign_id, "name": "x", "recipients": DIGITS}}
    sandbox.arm("attach", status=200, body=response, times=1)
    execute(attach(dag, campaign_id, people), context)
    sandbox.arm("attach", status=400, body={"error": f"{DIGITS[0]} has opted out"})
    with pytest.raises(Exception, match="964770•••4567 has opted out") as caught:
        execute(attach(dag, campaign_id, people), context)
    logged = capsys.readouterr()
    seen = f"{logged.out}{logged.err}{json.dumps(context['ti'].pushed)}{caught.value}"
    assert f"Attached 3 recipients to campaign {campaign_id}, which now holds 3." in seen
    assert f"All 3 recipients were on campaign {campaign_id} already." in seen
    for number in (*DIGITS, *map(str, PEOPLE)):
        assert number not in seen


@pytest.mark.parametrize(
    "broken", [{"otpiq_conn_id": "{{ nothing.at.all }}"}, {"recipients": "{{ nothing.at[9647501234567] }}"}]
)
def test_where_a_field_cannot_be_rendered_nobody_is_shown(
    dag: DAG, context: dict[str, Any], campaign_id: str, broken: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    operator = attach(dag, campaign_id, **({"recipients": PEOPLE} | broken))
    with pytest.raises(UndefinedError):
        operator.render_template_fields(context)  # type: ignore[arg-type]
    assert re.fullmatch(r"\d recipients|recipients as a str", as_airflow_stores_it(operator))
    logged = capfd.readouterr()
    assert not any(number in logged.out + logged.err for number in map(str, PEOPLE))


def test_rendering_twice_is_rendering_once(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    operator = attach(dag, campaign_id, PEOPLE)
    operator.render_template_fields(context)  # type: ignore[arg-type]
    execute(operator, context)
    assert attached(sandbox) == DIGITS


# Checks


def test_a_thousand_with_17_invalid_recipients_lists_those_and_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, sandbox_hook: OtpiqHook
) -> None:
    campaign_id = sandbox_hook.create_campaign(name="Summer", **WITH_PARAMETERS)["_id"]
    rows: list[Any] = [
        {"phoneNumber": f"96477{number:08}", "templateParameters": {"body": {"1": "Ali"}}} for number in range(1000)
    ]
    wrong = list(range(5, 1000, 60))
    for position in wrong:
        rows[position] = "0770" if position % 2 else {"phoneNumber": "9647701234567"}
    with pytest.raises(OtpiqValidationError, match="17 of 1000 recipients are wrong") as caught:
        execute(attach(dag, campaign_id, rows), context)
    assert [int(error[11 : error.index("]")]) for error in caught.value.errors] == wrong
    assert [request["method"] for request in sandbox.requests] == ["POST", "GET"]
    assert execute(attach(dag, campaign_id, rows, on_invalid="skip"), context) == campaign_id
    assert len(attached(sandbox)) == 983


def test_the_parameters_are_checked_unless_that_is_turned_off(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, sandbox_hook: OtpiqHook
) -> None:
    campaign_id = sandbox_hook.create_campaign(name="Summer", **WITH_PARAMETERS)["_id"]
    with pytest.raises(OtpiqValidationError, match=r"\(Body \{\{1\}\}\) is required"):
        execute(attach(dag, campaign_id, DIGITS), context)
    with pytest.raises(Exception, match="returned 400"):
        execute(attach(dag, campaign_id, DIGITS, validate_parameters=False), context)
    assert [request["method"] for request in sandbox.requests] == ["POST", "GET", "POST"]


def test_a_region_is_the_one_of_national_numbers(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    execute(attach(dag, campaign_id, ["0532 123 45 67"], default_region="TR"), context)
    assert attached(sandbox) == ["905321234567"]


def test_an_invalid_option_is_an_error_that_sends_nothing(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        execute(attach(dag, campaign_id, DIGITS, on_invalid="ignore", default_region="Iraq"), context)
    assert len(caught.value.errors) == 2
    assert len(sandbox.requests) == 1


# What is pushed, and what is idempotent


def test_an_attach_pushes_the_campaign(dag: DAG, context: dict[str, Any], campaign_id: str) -> None:
    execute(attach(dag, campaign_id, PEOPLE), context)
    assert context["ti"].pushed["campaign"]["_id"] == campaign_id
    assert context["ti"].pushed["campaign"]["totalRecipients"] == 3


@pytest.mark.parametrize("on_invalid", ["fail", "skip"])
def test_an_attach_pushes_counts_as_far_as_they_are_known(
    dag: DAG, context: dict[str, Any], campaign_id: str, on_invalid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{"phoneNumber": "0770", "reference": "C-1042"}] if on_invalid == "skip" else []
    operator = partial(attach, dag, campaign_id, [*PEOPLE, DIGITS[0], *wrong], on_invalid=on_invalid)
    execute(operator(), context)
    left_out = {"skipped": len(wrong), "duplicates": 1}
    assert context["ti"].pushed["recipients"] == {"attached": None, "already_attached": None, **left_out}
    execute(operator(), context)
    assert context["ti"].pushed["recipients"] == {"attached": 0, "already_attached": 3, **left_out}
    logged = capsys.readouterr().out
    assert logged.count(f"Attached 3 recipients to campaign {campaign_id}, which now holds 3.") == 1
    assert logged.count(f"All 3 recipients were on campaign {campaign_id} already.") == 1


def test_what_is_not_to_be_pushed_is_not(dag: DAG, context: dict[str, Any], campaign_id: str) -> None:
    execute(attach(dag, campaign_id, PEOPLE, do_xcom_push=False), context)
    assert not context["ti"].pushed


def test_a_sample_logs_how_many_were_left_out(
    dag: DAG, context: dict[str, Any], campaign_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = SendSampleOperator(
        task_id="sample", dag=dag, campaign_id=campaign_id, recipients=[*PEOPLE, DIGITS[0], "0770"], on_invalid="skip"
    )
    sample_id = execute(operator, context)
    said = f"Sent sample {sample_id} of campaign {campaign_id} to 3 recipients; 1 rows were skipped, 1 were duplicates."
    assert said in capsys.readouterr().out


def test_a_retried_attach_ends_with_each_number_once(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("attach", when="after", status=502)
    with pytest.raises(Exception, match="502"):
        execute(attach(dag, campaign_id, PEOPLE), context)
    later = context | {"ti": TaskInstance(try_number=2)}
    assert execute(attach(dag, campaign_id, PEOPLE), later) == campaign_id
    assert later["ti"].pushed["campaign"] == {"_id": campaign_id}
    assert sandbox.campaigns[0]["totalRecipients"] == 3


def test_a_sample_pushes_the_sample_campaign_and_leaves_the_other_alone(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    parent = sandbox.campaigns[0]
    operator = SendSampleOperator(task_id="sample", dag=dag, campaign_id=campaign_id, recipients=people)
    sample_id = execute(operator, context)
    assert sandbox.campaigns[0] == parent
    assert sandbox.campaigns[1]["_id"] == sample_id != campaign_id
    pushed = context["ti"].pushed["campaign"]
    assert (pushed["_id"], pushed["sampleOfCampaign"]) == (sample_id, campaign_id)
    assert as_airflow_stores_it(operator) == "3 recipients"


def test_every_field_of_the_api_is_a_template_field() -> None:
    for operator in (AttachRecipientsOperator, SendSampleOperator):
        assert set(operator.template_fields) == {"campaign_id", "recipients", "null_values", "otpiq_conn_id"}


def test_init_only_assigns(dag: DAG) -> None:
    operator = attach(dag, "{{ ti }}", "{{ params.people }}", default_region="?", on_invalid="?")
    assert (operator.campaign_id, operator.recipients) == ("{{ ti }}", "{{ params.people }}")


def test_a_lost_connection_is_retried_by_airflow(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("attach", connection="drop")
    with pytest.raises(OtpiqConnectionError):
        execute(attach(dag, campaign_id, PEOPLE), context)


def test_a_lost_attach_says_what_may_be_attached_and_what_a_retry_does(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    sandbox.arm("attach", when="after", connection="drop")
    task = AttachRecipientsOperator(task_id="lost", dag=dag, campaign_id=campaign_id, recipients=["9647801234567"])
    with pytest.raises(OtpiqConnectionError, match=r"The recipients may be attached\. A retry attaches those"):
        execute(task, context)
