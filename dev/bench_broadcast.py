"""How long a broadcast of many campaigns takes beside a bare loop that sends the same requests."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._audience.manifest import Counts, Manifest
from airflow_provider_otpiq._audience.output import Output, name_parts
from airflow_provider_otpiq._progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OF_A_BARE_LOOP = 1.3
CAMPAIGNS = 1000
PEOPLE = 1000
API_KEY = "sk_dev_sandbox"
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
IDS = {"templateId": "665f1c2ab3d4e5f601234567", "phoneNumberId": "665f1c2ab3d4e5f601234568"}
SLICES = 10
"""Both take turns, a slice of the campaigns each, so that a busy machine slows both."""


def broadcast() -> Iterator[str]:
    """Print what it costs to create, attach and schedule the campaigns, each with a thousand recipients."""
    from airflow_provider_otpiq._broadcast.create import create_broadcast
    from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast
    from airflow_provider_otpiq._broadcast.start import start_broadcast
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    logging.getLogger("airflow_provider_otpiq").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, _sandbox() as url:
        os.environ["AIRFLOW_CONN_OTPIQ_DEFAULT"] = json.dumps({"conn_type": "otpiq", "host": url, "password": API_KEY})
        own = bare = 0.0
        for each in range(SLICES):
            audience = _write_audience(Path(folder) / str(each), CAMPAIGNS // SLICES)
            began = time.perf_counter()
            create = CreateBroadcast.parse(
                audience=audience, name="Bench", template_id=IDS["templateId"], phone_number_id=IDS["phoneNumberId"]
            )
            created = create_broadcast(OtpiqHook(), create)
            start = StartBroadcast.parse(
                broadcast=str(created.ledger), lead_time=timedelta(hours=1), max_delay=timedelta()
            )
            start_broadcast(OtpiqHook(), start)
            own += time.perf_counter() - began
            began = time.perf_counter()
            _bare_loop(url, Path(audience).parent / "parts")
            bare += time.perf_counter() - began
    print(f"| {CAMPAIGNS} campaigns of {PEOPLE} recipients created, attached, scheduled | s | of the bare loop |")
    print("| --- | --- | --- |")
    print(f"| `requests.Session`, a loop that checks and saves nothing | {bare:.1f} | 1.00 |")
    print(f"| `CreateBroadcastOperator` and `StartBroadcastOperator` | {own:.1f} | {own / bare:.2f} |\n", flush=True)
    if own > MAX_OF_A_BARE_LOOP * bare:
        yield f"a broadcast takes {own / bare:.2f} times a bare loop"


@contextlib.contextmanager
def _sandbox() -> Iterator[str]:
    """Run the sandbox in a process of its own, and yield its URL."""
    command = [sys.executable, "-m", "airflow_provider_otpiq.sandbox", "--port", "0", "--credit", "1000000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(re.findall(r"http://[^\s,]+/api", line)[0] for line in process.stdout if "/api" in line)
        finally:
            process.terminate()


def _bare_loop(url: str, parts: Path) -> None:
    import requests

    session, campaigns = requests.Session(), f"{url}/whatsapp/campaigns"
    session.headers.update(HEADERS)
    created = []
    for number, part in enumerate(sorted(parts.iterdir())):
        recipients = json.loads(part.read_bytes())
        for recipient in recipients:
            del recipient["reference"]
        new: dict[str, Any] = {"name": f"Bare {number}", **IDS}
        campaign = session.post(campaigns, json=new, timeout=30).json()["data"]["_id"]
        session.post(f"{campaigns}/{campaign}/recipients", json={"recipients": recipients}, timeout=30).json()
        created.append(campaign)
    time_ahead = pendulum.now("UTC").add(hours=1).to_iso8601_string()
    for campaign in created:
        schedule = {"scheduleType": "schedule", "scheduledFor": time_ahead}
        session.patch(f"{campaigns}/{campaign}", json=schedule, timeout=30).json()


def _write_audience(folder: Path, parts: int) -> str:
    everybody, output = parts * PEOPLE, Output(str(folder))
    contents = ((PEOPLE, json.dumps(_recipients(part)).encode()) for part in range(parts))
    written = output.write_parts(name_parts(contents), Progress())
    counts = Counts(rows=everybody, recipients=everybody, duplicates=0, suppressed=0, rejected=0)
    output.publish(Manifest(source=["bench"], template_parameters={"body": ["1", "2"]}, counts=counts, parts=written))
    return output.location


def _recipients(part: int) -> list[dict[str, object]]:
    return [
        {
            "phoneNumber": f"96477{person:08}",
            "templateParameters": {"body": {"1": "Zaynab", "2": f"{person} IQD"}},
            "reference": f"C-{person}",
        }
        for person in range(part * PEOPLE, (part + 1) * PEOPLE)
    ]


if __name__ == "__main__":
    sys.exit("; ".join(broadcast()))
