"""A follow-up: who gets another message by a delivery report, with what, and which reports are refused."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.follow_up import parse_request
from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._audience.prepare import prepare
from airflow_provider_otpiq._ledger.records import Schedule, Start
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import SECRETS, Logged, Prepared, Run, refusal
from tests.audience.ledgers import use
from tests.fakes import CAMPAIGN_ID

FollowUp = Callable[..., Prepared]
Refused = Callable[..., str]

pytestmark = pytest.mark.slow

COLUMNS = (
    "message_id", "phone_number", "delivery_status", "error_reason", "reference", "campaign_id", "ambiguous",
    "person_messages",
)  # fmt: skip
PARAMETERS = {"body": {"1": "name", "2": {"value": "10%"}}, "buttons": {"0": {"1": "link"}}}
STARTED = pendulum.datetime(2026, 11, 1, tz="UTC")
OPTED_OUT = "131050: User has Opted Out of marketing messages"
PEOPLE = """\
id,phone,name,link
C-0,9647701234560,علي,x/0
C-1,0770 123 4561,"O'Neil ""x"" y",x/1
C-2,9647701234562,Zaynab,x/2
C-3,9647701234563,Hawraa,x/3
,9647701234564,Mustafa,x/4
C-5,+7 701 234 56 78,Aigerim,x/5
"""


def number(index: int) -> str:
    return "77012345678" if index == 5 else f"964770123456{index}"


def message(index: int, status: str = "failed", reason: str = "", **others: str) -> dict[str, str]:
    """Return a row of a report about the person of this index."""
    row = {"message_id": f"m{index}", "phone_number": number(index), "delivery_status": status, "error_reason": reason}
    return row | {"reference": "", "campaign_id": CAMPAIGN_ID, "ambiguous": "false", "person_messages": "1"} | others


def ambiguous(index: int, status: str = "failed") -> dict[str, str]:
    return message(index, status, ambiguous="true", person_messages="2", campaign_id="")


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> str:
    """Write a report as DeliveryReportOperator does, by the suffix."""
    text = path.with_suffix(".csv")
    with text.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if path.suffix == ".parquet":
        types = {"ambiguous": "BOOLEAN", "person_messages": "BIGINT"}
        with duckdb.connect() as database:
            select = ", ".join(f"nullif({name}, '')::{types.get(name, 'VARCHAR')} AS {name}" for name in columns)
            database.execute(f"COPY (SELECT {select} FROM read_csv('{text}', all_varchar = true)) TO '{path}'")  # noqa: S608
    return str(path)


@pytest.fixture
def audience(run: Run, output: Path) -> Prepared:
    """Prepare the audience that the reports are about."""
    return run(PEOPLE, template_parameters=PARAMETERS)


@pytest.fixture
def follow_up(audience: Prepared, tmp_path: Path) -> FollowUp:
    """Prepare a follow-up by the rows of a report, or the path of one."""

    output = Output(str(audience.audience.folder))
    ledger, (part,) = use(output, audience.audience.manifest), audience.audience.manifest.parts
    ledger.claim_start(Start(request=ledger.broadcast.id, requested=None, scheduled_for=STARTED))
    schedule = Schedule(campaign_id=CAMPAIGN_ID, scheduled_for=STARTED, first_scheduled_for=STARTED)
    ledger.claim(part, schedule, 1)

    def follow_up(report: list[dict[str, str]] | str, **fields: Any) -> Prepared:
        path = report if isinstance(report, str) else write(tmp_path / "report.csv", report)
        earlier = {"follow_up": path, "audience": audience.audience.location}
        return Prepared(prepare(parse_request(**{"output": f"{tmp_path}/second"} | earlier | fields)))

    return follow_up


@pytest.fixture
def refused(follow_up: FollowUp, tmp_path: Path) -> Refused:
    """Return the error's text of what cannot be prepared, with ``…`` for the test's folder; it names no person."""

    def refused(report: Any, **fields: Any) -> str:
        text = refusal(tmp_path, follow_up, report, **fields)
        assert not (tmp_path / "second" / "manifest.json").exists()
        return text

    return refused


# Who gets a message


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_failed_get_the_parameters_and_the_reference_that_they_had(
    follow_up: FollowUp, audience: Prepared, tmp_path: Path, suffix: str
) -> None:
    rows = [
        message(5),
        message(4),
        message(0, "delivered", OPTED_OUT),
        message(1),
        message(2, "read"),
        message(3, "sent"),
    ]
    prepared = follow_up(write(tmp_path / f"report.{suffix}", rows))
    assert prepared.recipients == [audience.recipients[index] for index in (1, 4, 5)]  # in the audience's order
    assert prepared.counts == {"rows": 3, "recipients": 3, "duplicates": 0, "suppressed": 0, "rejected": 0}
    assert prepared.excluded == []
    manifest = prepared.audience.manifest
    assert manifest.template_parameters == audience.audience.manifest.template_parameters
    assert manifest.source == [f"{tmp_path}/report.{suffix}"]


def test_a_part_of_everybody_is_the_same_bytes(follow_up: FollowUp, audience: Prepared) -> None:
    assert follow_up([message(index) for index in range(6)]).content == audience.content


def test_values_that_another_audience_would_reject_are_kept(run: Run, tmp_path: Path) -> None:
    earlier = run("id,phone,name\nn/a,9647701234560,NULL\n", null_values=[])
    report = write(tmp_path / "report.csv", [message(0)])
    request = parse_request(follow_up=report, audience=earlier.audience.location, output=f"{tmp_path}/second")
    assert Prepared(prepare(request)).content == earlier.content


@pytest.mark.parametrize("parameters", [None, {"header": {"1": "name"}}])
def test_an_audience_may_have_few_columns(run: Run, tmp_path: Path, parameters: Any) -> None:
    earlier = run("phone,name\n9647701234560,Ali\n", template_parameters=parameters, reference=None)
    report = write(tmp_path / "report.csv", [message(0)])
    request = parse_request(follow_up=report, audience=earlier.audience.location, output=f"{tmp_path}/second")
    assert Prepared(prepare(request)).content == earlier.content


@pytest.mark.parametrize("region", ["IQ", "KZ", "DE", "IN"])
def test_a_number_is_not_read_again_in_another_region(follow_up: FollowUp, region: str) -> None:
    assert follow_up([message(0), message(5)], default_region=region).numbers == [number(0), number(5)]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["failed"], [0]),
        ("failed", [0]),
        (["delivered", "read"], [1, 2]),
        (["unmatched"], [4, 5]),
        (["unmatched", "failed"], [0, 4, 5]),
    ],
)
def test_statuses_select_the_people(follow_up: FollowUp, statuses: Any, expected: list[int]) -> None:
    rows = [message(0), message(1, "delivered"), message(2, "read"), message(3, "new_status")]
    prepared = follow_up(rows, follow_up_statuses=statuses)
    assert prepared.numbers == [number(index) for index in expected]
    assert prepared.counts["rows"] == len(expected)


def test_nobody_who_is_ambiguous_gets_a_message(follow_up: FollowUp) -> None:
    """Also if the flag is missing, such as after two reports were merged, and whatever the other message's status."""
    rows = [
        message(0),
        ambiguous(1),
        ambiguous(1, "delivered"),
        message(2),
        message(2, "delivered"),
        message(3, ambiguous="true"),
    ]
    rows += [message(4, person_messages="3")]
    prepared = follow_up(rows, follow_up_statuses=["failed", "unmatched"])
    assert prepared.numbers == [number(0), number(5)]
    assert prepared.counts == {"rows": 6, "recipients": 2, "duplicates": 0, "suppressed": 4, "rejected": 0}
    assert {row["reason"] for row in prepared.excluded} == {"has several messages in the report"}


def test_people_are_left_out_by_the_reason_of_the_error(
    follow_up: FollowUp, logged: Logged, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    rows = [
        message(0, reason="131026: Undeliverable"),
        message(1, reason=OPTED_OUT),
        message(2, "delivered", OPTED_OUT),
    ]
    rows += [message(3, reason="131049: Too many, it's Meta's choice"), ambiguous(4), message(5)]
    prepared = follow_up(rows, exclude_reasons=["opted out", "IT'S META"], max_rejected=0)
    assert prepared.numbers == [number(0), number(5)]
    assert prepared.counts == {"rows": 5, "recipients": 2, "duplicates": 0, "suppressed": 3, "rejected": 0}
    assert (tmp_path / "second" / "excluded.csv").read_text() == snapshot
    text = logged()
    assert "Left out of the follow-up: 1, because: the error reason contains 'opted out'" in text
    assert [secret for secret in (*SECRETS, "131049") if secret in text] == []
    assert follow_up(rows, exclude_reasons="opted out").numbers == [number(0), number(3), number(5)]


def test_a_current_suppression_list_applies(follow_up: FollowUp, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "opt_outs.csv").write_text("tel;note\n0770 123 4561;x\nNULL;x\n")
    fields = {"suppress": f"{tmp_path}/opt_outs.csv", "suppress_phone_number": "tel", "delimiter": ";"}
    prepared = follow_up([message(0), message(1), message(2, "read")], **fields)
    assert prepared.references == ["C-0"]
    assert [(row["reference"], row["outcome"], row["reason"]) for row in prepared.excluded] == [
        ("C-1", "suppressed", "")
    ]
    shutil.rmtree(tmp_path / "second")
    (tmp_path / "opt_outs.csv").write_text("tel;note\nsee notes;x\n")
    assert "suppress: row 1: phoneNumber has characters" in refused([message(0)], **fields)


def test_the_people_are_divided_into_parts(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"{at},96477{at:08},Ali\n" for at in range(2500))
    earlier = run(f"id,phone,name\n{rows}")
    sent = [message(0, "failed" if at % 2 else "read", phone_number=f"96477{at:08}") for at in range(2500)]
    report = write(tmp_path / "report.parquet", sent)
    request = parse_request(follow_up=report, audience=earlier.audience.location, output=f"{tmp_path}/second")
    prepared = Prepared(prepare(request))
    assert [len(part) for part in prepared.parts] == [1000, 250]
    assert prepared.recipients == earlier.recipients[1::2]


def test_a_used_follow_up_is_restored_and_does_not_change(follow_up: FollowUp, tmp_path: Path) -> None:
    first = follow_up([message(0), message(1)])
    use(Output(f"{tmp_path}/second"), first.audience.manifest)
    (tmp_path / "second" / "parts" / "00000.json").unlink()
    again = follow_up([message(1), message(0)])
    assert again.content == first.content
    with pytest.raises(OtpiqValidationError, match="already has campaigns of another audience"):
        follow_up([message(0)])
    with pytest.raises(OtpiqValidationError, match=r"source: was .*report\.csv.*, is now .*other\.csv"):
        follow_up(write(tmp_path / "other.csv", [message(0), message(1)]))


def test_a_follow_up_can_be_followed_up(follow_up: FollowUp, audience: Prepared, tmp_path: Path) -> None:
    second = follow_up([message(0), message(1)])
    third = follow_up([message(1)], audience=second.audience.location, output=f"{tmp_path}/third")
    assert third.recipients == [audience.recipients[1]]


# What is refused


def without(name: str) -> Callable[[Path], str]:
    columns = tuple(column for column in COLUMNS if column != name)
    return lambda folder: write(folder / "less.csv", [message(0)], columns)


def of_bytes(name: str, content: bytes) -> Callable[[Path], str]:
    def of_bytes(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return f"{folder}/{name}"

    return of_bytes


WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    "of another audience": ([message(0), message(8, phone_number="9647709999999"), message(9)], {}),
    "without delivery_status": (without("delivery_status"), {}),
    "of everybody": (without("ambiguous"), {}),
    "limited by statuses, or of an earlier version": (without("person_messages"), {}),
    "flags that are not flags": ([message(0, ambiguous="maybe"), message(1, ambiguous="")], {}),
    "a number of messages that is none": ([message(0, person_messages="x"), message(1, person_messages="0")], {}),
    "a message without a status": ([message(0, ""), message(1)], {}),
    "a number that is a float": ([message(0, phone_number=f"{number(0)}.0")], {}),
    "a row with too few fields": (of_bytes("x.csv", f"{','.join(COLUMNS)}\nm,{number(0)},failed\n".encode()), {}),
    "a quote that is not closed": (of_bytes("x.csv", f'{",".join(COLUMNS)}\n"m,{number(0)},failed\n'.encode()), {}),
    "semicolons": (of_bytes("x.csv", f"{';'.join(COLUMNS)}\n".encode()), {}),
    "not UTF-8": (of_bytes("x.csv", ",".join(COLUMNS).encode("utf-16")), {}),
    "not Parquet": (of_bytes("x.parquet", b"PAR1" + b"\0" * 100), {}),
    "an empty file": (of_bytes("x.csv", b""), {}),
    "an unknown suffix": (of_bytes("x.txt", b"x"), {}),
    "nobody left": ([message(0, "read")], {}),
    "everybody left out": ([message(0, reason=OPTED_OUT)], {"exclude_reasons": ["opted"]}),
    "of a source": (
        [message(0)],
        {"source": "x.csv", "phone_number": "x", "reference": "x", "template_parameters": {"body": {"1": "x"}}},
    ),
    "a source that is a callable": ([message(0)], {"source": list}),
    "a suppression list without its column": ([message(0)], {"suppress": "x.csv"}),
    "no audience": ([message(0)], {"audience": None}),
    "no report": ([message(0)], {"follow_up": None}),
    "empty fields": (
        [message(0)],
        {"follow_up": "", "audience": " ", "follow_up_statuses": [], "exclude_reasons": [""]},
    ),
    "wrong fields": (
        [message(0)],
        {"follow_up": ["x.csv"], "follow_up_statuses": ["failed", "lost"], "exclude_reasons": [7], "max_rejected": 2.0},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_followed_up_is_an_error(
    refused: Refused, tmp_path: Path, case: str, snapshot: SnapshotAssertion
) -> None:
    report, fields = WRONG[case]
    assert refused(report(tmp_path) if callable(report) else report, **fields) == snapshot


def test_an_audience_needs_a_source_or_a_follow_up(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        parse_request(output=str(tmp_path))
    assert str(caught.value) == snapshot


def test_several_reports_are_an_error(refused: Refused, tmp_path: Path) -> None:
    """A person who failed in one may have the message by another."""
    for name in "ab":
        write(tmp_path / f"of_{name}.csv", [message(0)])
    assert "matches 2 files; expected one report" in refused(f"{tmp_path}/of_*.csv")


def test_a_report_that_does_not_exist_is_an_error_that_may_be_retried(follow_up: FollowUp, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv does not exist"):
        follow_up(f"{tmp_path}/none.csv")


def test_too_little_memory_is_not_an_error_of_the_report(refused: Refused) -> None:
    rows = [message(0, reason="x" * 100_000)] * 50
    text = refused(rows, memory_limit="1MB")
    assert text.startswith("memory_limit: 1MB is too little")
    assert "DeliveryReportOperator" not in text


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_new_columns_are_ignored(follow_up: FollowUp, tmp_path: Path, suffix: str) -> None:
    columns = ("new", *COLUMNS, "statuses")
    report = write(tmp_path / f"report.{suffix}", [message(0, new="x", statuses="x")], columns)
    assert follow_up(report).references == ["C-0"]


def test_parts_that_were_deleted_or_edited_are_an_error(
    refused: Refused, audience: Prepared, output: Path, snapshot: SnapshotAssertion
) -> None:
    part = output / "parts" / "00000.json"
    part.write_text(json.dumps(audience.recipients))
    assert "was changed after it was prepared" in refused([message(0)])
    part.unlink()
    assert refused([message(0)]) == snapshot
    (output / "manifest.json").unlink()
    assert "manifest.json does not exist" in refused([message(0)])


def test_the_output_must_not_replace_the_audience(follow_up: FollowUp, output: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in output.rglob("*.json")}
    (tmp_path / "reports").mkdir()
    report = write(tmp_path / "reports" / "report.csv", [message(0)])
    for folder in (output, tmp_path, tmp_path / "reports"):
        with pytest.raises(OtpiqValidationError, match="contains the source file"):
            follow_up(report, output=str(folder))
    assert {path: path.read_bytes() for path in output.rglob("*.json")} == before
