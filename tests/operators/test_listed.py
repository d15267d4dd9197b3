"""How many parts and people an error or a log line of a broadcast lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.exceptions import OtpiqReportError, OtpiqRequestError, OtpiqValidationError
from tests.broadcast.people import number, write_audience
from tests.operators.broadcasts import later
from tests.operators.reports import as_csv, send_file

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.operators.broadcasts import Run

pytestmark = pytest.mark.slow

TWENTY_PARTS = ", ".join(f"{part:05}" for part in range(20))
TWENTY_AT_MOST = pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])


@pytest.fixture
def many(tmp_path: Path, count: int) -> str:
    """Write an audience of many parts of a person each."""
    return write_audience(f"{tmp_path}/many", parts=count, part_size=1)


@TWENTY_AT_MOST
def test_parts_that_are_refused_for_one_reason(
    create: Run, start: Run, sandbox: Sandbox, many: str, count: int, more: str
) -> None:
    sandbox.arm("create", status=400, body={"error": "Not today"}, times=count)
    with pytest.raises(OtpiqRequestError, match=f"parts {TWENTY_PARTS}{more}: .*Not today"):
        create(audience=many)
    with pytest.raises(OtpiqValidationError, match=rf"recipients of their part: parts {TWENTY_PARTS}{more}\."):
        start(broadcast=str(Path(many).parent / "ledger"))


@TWENTY_AT_MOST
def test_parts_whose_campaigns_are_lost(create: Run, start: Run, many: str, count: int, more: str) -> None:
    ledger = create(audience=many)
    start(broadcast=ledger)
    for campaign in Path(ledger).rglob("campaigns/*"):
        campaign.unlink()
    with pytest.raises(OtpiqValidationError, match=f"the campaigns of parts {TWENTY_PARTS}{more} are missing, "):
        create(audience=many)


@TWENTY_AT_MOST
def test_people_with_several_messages(
    create: Run,
    start: Run,
    report: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    count: int,
    more: str,
) -> None:
    ledger = create(audience=write_audience(f"{tmp_path}/one", parts=1, part_size=count))
    start(broadcast=ledger)
    with later(hours=1):
        twice: list[dict[str, Any]] = [
            {"Phone Number": number(at), "Message ID": f"{at}{each}"} for at in range(count) for each in "ab"
        ]
        send_file(sandbox, as_csv(twice), len(twice))
        report(broadcast=ledger)
    listed = ", ".join(f"C-{number(at)[-3:]}" for at in range(20))
    assert f"several messages in this window: {count} ({listed}{more})" in caplog.text


def test_a_file_with_other_columns_than_the_one_before_it(
    broadcast: str, report: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    send_file(sandbox, as_csv([{"Phone Number": number(0)}], Extra="Extra"), 1)
    with later(hours=1), pytest.raises(OtpiqReportError, match="has other columns"):
        report(broadcast=broadcast)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
