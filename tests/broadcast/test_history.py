"""The state of the parts after starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum

from airflow_provider_otpiq._audience.manifest import Part
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._ledger.records import Broadcast, Schedule, Start, Stop, Stopped

if TYPE_CHECKING:
    from pathlib import Path

TIME = pendulum.datetime(2026, 6, 1, 6, tz="UTC")
LATE, DRAFT = (Part(path=f"parts/0000{index}.json", recipients=1, sha256="0" * 64) for index in range(2))


def schedule(index: int) -> Schedule:
    return Schedule(campaign_id=f"{index:024}", scheduled_for=TIME, first_scheduled_for=TIME, confirmed=True)


def stopped_and_started_again(folder: Path) -> Ledger:
    """Return a ledger with a stop that was too late for one part, and with a start of the other after it."""
    request = Broadcast(
        request={"name": "Summer"},
        audience=f"{folder}/manifest.json",
        audience_checksum="0" * 64,
        template_id="1" * 24,
        phone_number_id="2" * 24,
    )
    ledger = Ledger.begin(str(folder), request)
    for number in (1, 2):
        ledger.claim_start(Start(request=request.id, requested=TIME.add(days=number), scheduled_for=TIME), number)
    ledger.claim_stop(Stop(), 1)
    for index, part in enumerate((LATE, DRAFT)):
        ledger.claim(part, schedule(index), 1)
        ledger.claim(part, Stopped(**schedule(index).model_dump(), too_late=part is LATE), 1)
    ledger.claim(DRAFT, schedule(1), 2)
    return ledger


def test_after_a_new_start_a_part_whose_campaign_had_started_before_keeps_its_schedule(tmp_path: Path) -> None:
    history = read_history(stopped_and_started_again(tmp_path), (LATE, DRAFT))
    assert (history.number, history.too_late, history.stopped) == (2, {LATE.name}, {})
    assert {name: record.campaign_id for name, record in history.schedules.items()} == history.senders
    assert history.senders == {LATE.name: f"{0:024}", DRAFT.name: f"{1:024}"}


def test_a_slow_stop_reads_its_own_outcomes_although_a_new_start_has_begun(tmp_path: Path) -> None:
    history = read_history(stopped_and_started_again(tmp_path), (LATE, DRAFT), last=1)
    assert {name: record.too_late for name, record in history.stopped.items()} == {LATE.name: True, DRAFT.name: False}
    assert history.schedules.keys() == {LATE.name}
