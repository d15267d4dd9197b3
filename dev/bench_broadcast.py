"""Compare a broadcast of many campaigns with a bare loop that sends the same requests."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pendulum

from dev.bench_harness import API_KEY, CONTEXT, connect, in_turns, served, show, write_customers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

MAX_OF_A_BARE_LOOP = 1.3
MAX_OF_A_BARE_STOP = 1.4  # 1.3, and a tenth for noise
CAMPAIGNS, PEOPLE, ROUNDS = 100, 1000, 10
TEMPLATE_ID, PHONE_NUMBER_ID = "665f1c2ab3d4e5f601234567", "665f1c2ab3d4e5f601234568"


def broadcast() -> Iterator[str]:
    """Print how long it takes to create, attach, schedule and stop the campaigns, each with a thousand recipients."""
    from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator

    logging.getLogger("airflow_provider_otpiq").setLevel(logging.ERROR)
    sandbox = ("airflow_provider_otpiq.sandbox", "--port", "0", "--credit", "1000000000")
    with tempfile.TemporaryDirectory() as folder, served(*sandbox) as url:
        connect(url)
        os.environ["OTPIQ_SKIP_RETRY_WAITS"] = "1"
        prepare = PrepareAudienceOperator(
            task_id="prepare",
            source=write_customers(Path(folder, "people.csv"), CAMPAIGNS * PEOPLE, duplicates=0),
            phone_number="phone",
            template_parameters={"body": {"1": "first_name", "2": "city"}},
            reference="customer_id",
            output=f"{folder}/audience",
        )
        audience = str(prepare.execute(CONTEXT))
        parts = sorted(Path(audience).parent.glob("parts/*"))
        assert len(parts) == CAMPAIGNS
        created: list[list[str]] = []
        ledgers: list[str] = []
        calls = {
            "bare": lambda: created.append(_bare_loop(url, parts)),
            "own": lambda: ledgers.append(_broadcast(audience, folder)),
        }
        bare, own = map(sum, in_turns(calls, ROUNDS))
        stops = {"bare": lambda: _bare_stop(url, created.pop()), "own": lambda: _stop(ledgers.pop())}
        bare_stop, own_stop = map(sum, in_turns(stops, ROUNDS))
    show(
        [
            f"{ROUNDS * CAMPAIGNS} campaigns of {PEOPLE} recipients created, attached, scheduled",
            "s",
            "of the bare loop",
        ],
        ["`requests.Session`, a loop that checks and saves nothing", f"{bare:.1f}", "1.00"],
        ["`CreateBroadcastOperator` and `StartBroadcastOperator`", f"{own:.1f}", f"{own / bare:.2f}"],
    )
    show(
        [f"{ROUNDS * CAMPAIGNS} campaigns made drafts twice", "s", "of the bare loop"],
        ["`requests.Session`, a loop that checks and saves nothing", f"{bare_stop:.1f}", "1.00"],
        ["`StopBroadcastOperator`, without its wait", f"{own_stop:.1f}", f"{own_stop / bare_stop:.2f}"],
    )
    if own > MAX_OF_A_BARE_LOOP * bare:
        yield f"a broadcast takes {own / bare:.2f} times a bare loop"
    if own_stop > MAX_OF_A_BARE_STOP * bare_stop:
        yield f"a stop takes {own_stop / bare_stop:.2f} times a bare loop"


def _broadcast(audience: str, folder: str) -> str:
    from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator

    ledger: str = CreateBroadcastOperator(
        task_id="create",
        audience=audience,
        name="Bench",
        template_id=TEMPLATE_ID,
        phone_number_id=PHONE_NUMBER_ID,
        ledger=tempfile.mkdtemp(dir=folder),
    ).execute(CONTEXT)
    StartBroadcastOperator(task_id="start", broadcast=ledger, lead_time=timedelta(hours=1), check_health=False).execute(
        CONTEXT
    )
    return ledger


def _stop(ledger: str) -> None:
    from airflow_provider_otpiq.operators.broadcast import StopBroadcastOperator

    StopBroadcastOperator(task_id="stop", broadcast=ledger).execute(CONTEXT)


def _session() -> requests.Session:
    import requests

    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {API_KEY}"
    return session


def _bare_stop(url: str, campaigns: list[str]) -> None:
    session = _session()
    for campaign in (*campaigns, *campaigns):
        draft = {"scheduleType": "now", "scheduledFor": None}
        session.patch(f"{url}/whatsapp/campaigns/{campaign}", json=draft, timeout=30).json()


def _bare_loop(url: str, parts: list[Path]) -> list[str]:
    session, campaigns = _session(), f"{url}/whatsapp/campaigns"
    created = []
    for number, part in enumerate(parts):
        recipients = json.loads(part.read_bytes())
        for recipient in recipients:
            del recipient["reference"]
        new = {"name": f"Bare {number}", "templateId": TEMPLATE_ID, "phoneNumberId": PHONE_NUMBER_ID}
        campaign = session.post(campaigns, json=new, timeout=30).json()["data"]["_id"]
        session.post(f"{campaigns}/{campaign}/recipients", json={"recipients": recipients}, timeout=30).json()
        created.append(campaign)
    time_ahead = pendulum.now("UTC").add(hours=1).to_iso8601_string()
    for campaign in created:
        schedule = {"scheduleType": "schedule", "scheduledFor": time_ahead}
        session.patch(f"{campaigns}/{campaign}", json=schedule, timeout=30).json()
    return created


if __name__ == "__main__":
    sys.exit("; ".join(broadcast()) or None)
