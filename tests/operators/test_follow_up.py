"""A follow-up after a real report, the fields as Airflow renders them, and the recipes of the guide."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from tests.broadcast.people import number
from tests.operators.broadcasts import Run, in_minutes, later, text_of
from tests.operators.reports import ReportTask


@pytest.fixture
def delivery(report: ReportTask, broadcast: str, tmp_path: Path) -> str:
    """Give the report of a broadcast to nine people; the message to the first one failed."""
    with later(hours=1):
        return str(report(broadcast=broadcast, destination=f"{tmp_path}/reports/first.parquet"))


@pytest.fixture
def prepare(context: dict[str, Any], tmp_path: Path) -> Run:
    return Run(PrepareAudienceOperator, context, {"output": f"{tmp_path}/second"})


def recipients(manifest: str) -> list[dict[str, Any]]:
    parts = sorted(Path(manifest).parent.glob("parts/*"))
    return [recipient for part in parts for recipient in json.loads(part.read_text())]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_only_the_failed_get_another_message(
    prepare: Run, create: Run, start: Run, report: ReportTask, broadcast: str, audience: str, suffix: str
) -> None:
    """Once the first report is made again, they are ambiguous, so a second follow-up by it has nobody."""
    folder = Path(audience).parent
    with later(hours=1):
        first = report(broadcast=broadcast, destination=f"{folder}/delivery.{suffix}")
        manifest = prepare(follow_up=first, audience=audience)
        assert recipients(manifest) == recipients(audience)[:1]
        assert prepare.pushed["audience"] == {
            "rows": 1, "recipients": 1, "duplicates": 0, "suppressed": 0, "rejected": 0, "parts": 1
        }  # fmt: skip
        ledger = start(broadcast=create(audience=manifest, name="Once more"))
    with later(hours=2):
        assert [row["phone_number"] for row in report.rows(broadcast=ledger)] == [number(0)]
        again = report(broadcast=broadcast, destination=f"{folder}/again.{suffix}")
        error = prepare.fail(follow_up=again, audience=audience, output=f"{folder}/third")
        assert "follow_up: no recipient is left; rows: 1, rejected: 0, suppressed: 1" in str(error)


def test_people_whose_wave_has_not_started_are_not_those_without_a_message(
    prepare: Run, create: Run, start: Run, report: ReportTask, audience: str, tmp_path: Path,
    snapshot: SnapshotAssertion,
) -> None:  # fmt: skip
    """The report of an earlier time does not list them, although they get the message."""
    first = in_minutes(60)
    ledger = start(broadcast=create(), scheduled_for=first, wave_size=3, wave_interval=timedelta(hours=6))
    fields = {"follow_up": f"{tmp_path}/delivery.csv", "audience": audience}
    with later(hours=2):
        report(broadcast=ledger, destination=fields["follow_up"])
    with later(hours=20):
        error = prepare.fail(**fields, follow_up_statuses=["failed", "unmatched"])
        assert text_of(error) == snapshot
        assert recipients(prepare(**fields)) == recipients(audience)[:1]
        report(broadcast=ledger, destination=fields["follow_up"])
        assert "no recipient is left; rows: 0" in str(prepare.fail(**fields, follow_up_statuses="unmatched"))


def test_a_report_of_fewer_people_does_not_tell_who_has_no_message(
    prepare: Run, create: Run, start: Run, report: ReportTask, delivery: str, audience: str, tmp_path: Path,
    snapshot: SnapshotAssertion,
) -> None:  # fmt: skip
    """The report of the follow-up does not list the others of the first audience, who have their message."""
    with later(hours=2):
        ledger = start(broadcast=create(audience=prepare(follow_up=delivery, audience=audience)))
    with later(hours=4):
        second = report(broadcast=ledger, destination=f"{tmp_path}/second.csv")
    fields = {"follow_up": second, "audience": audience, "output": f"{tmp_path}/third"}
    error = prepare.fail(**fields, follow_up_statuses=["failed", "unmatched"])
    assert text_of(error) == snapshot


def test_a_report_of_an_audience_can_be_followed_up(
    prepare: Run, report: ReportTask, broadcast: str, audience: str
) -> None:
    with later(hours=1):
        now = pendulum.now("UTC")
        delivery = report(audience=audience, start=now.subtract(days=1), end=now)
        assert recipients(prepare(follow_up=delivery, audience=audience)) == recipients(audience)[:1]
    fields = {"follow_up": delivery, "audience": audience, "follow_up_statuses": "unmatched"}
    prepare.fail(match="contains no messages from the campaigns of these parts: 00000, 00001", **fields)


def test_a_report_of_some_statuses_is_an_error(prepare: Run, report: ReportTask, broadcast: str, audience: str) -> None:
    with later(hours=1):
        delivery = report(broadcast=broadcast, statuses=["failed"])
    prepare.fail(match="has no column 'person_messages'", follow_up=delivery, audience=audience)


def test_every_field_is_rendered(
    prepare: Run, context: dict[str, Any], delivery: str, audience: str, tmp_path: Path
) -> None:
    (tmp_path / "opt_outs.csv").write_text(f"tel\n{number(2)}\n")
    context["params"] |= {
        "report": delivery,
        "audience": audience,
        "status": "delivered",
        "why": "service UNAVAILABLE",
        "none": None,
    }
    context["dag"].render_template_as_native_obj = True
    manifest = prepare(
        source="{{ params.none }}",
        phone_number="{{ params.none }}",
        follow_up="{{ params.report }}",
        audience="{{ params.audience }}",
        follow_up_statuses=["{{ params.status }}", "read"],
        exclude_reasons="{{ [params.why] }}",
        suppress=f"{tmp_path}/opt_outs.csv",
        suppress_phone_number="{{ 'tel' }}",
    )
    assert [recipient["phoneNumber"] for recipient in recipients(manifest)] == [number(at) for at in range(3, 9)]


def test_an_asset_event_and_lineage_name_the_report_and_the_audience(
    prepare: Run, delivery: str, audience: str, tmp_path: Path
) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    prepare(follow_up=delivery, audience=audience)
    found = prepare.task.get_openlineage_facets_on_complete(None)
    assert [item.name for item in found.inputs] == [delivery, str(Path(audience).parent)]
    assert [item.name for item in found.outputs] == [f"{tmp_path}/second"]


# The recipes of the guide


def test_people_of_earlier_reports_are_suppressed_by_one_column_name(
    prepare: Run, delivery: str, tmp_path: Path
) -> None:
    """Before the first report there is a file with the column's name only; opt-outs have the same column name."""
    rows = [{"phone": number(index), "name": "Ali"} for index in range(8, 12)]
    fields: dict[str, Any] = {
        "source": lambda: rows,
        "phone_number": "phone",
        "template_parameters": {"body": {"1": "name"}},
        "suppress": [f"{tmp_path}/reports/*", f"{tmp_path}/opt_outs.csv"],
        "suppress_phone_number": "phone_number",
    }
    (tmp_path / "reports" / "none.csv").write_text("phone_number\n")
    (tmp_path / "opt_outs.csv").write_text("received_at,phone_number\n2026-11-20T10:00:00Z,+96477 0000 0010\n")
    assert [recipient["phoneNumber"] for recipient in recipients(prepare(**fields))] == [number(9), number(11)]
    Path(delivery).unlink()
    manifest = prepare(**fields)
    assert [recipient["phoneNumber"] for recipient in recipients(manifest)] == [number(8), number(9), number(11)]
