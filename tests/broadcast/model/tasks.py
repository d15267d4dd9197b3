"""The steps of the model's actors: what the operators do, and what else can happen to a broadcast."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.manifest import Counts, Manifest, Part
from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast, StopBroadcast
from airflow_provider_otpiq._progress import Progress
from tests.broadcast.model import world as worlds
from tests.broadcast.model.execution import Step
from tests.broadcast.people import TEMPLATE, number

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = "model://audience"
LEDGER, SECOND_LEDGER = f"{FOLDER}/ledger", f"{FOLDER}/second"
START = "audience/ledger/start.json"
PART_SIZE = 2
_RELEASES = Path(__file__).parents[1] / "releases"
RELEASES = sorted(file.stem for file in _RELEASES.glob("*.json"))
"""The releases whose ledgers can be restored."""


def people(parts: int, first: int = 0) -> list[list[str]]:
    """Return the numbers of an audience, by part."""
    return [[number(first + index * PART_SIZE + row) for row in range(PART_SIZE)] for index in range(parts)]


def create(name: str = "Summer", *, replace: bool = False, **fields: Any) -> Step:
    def run() -> None:
        from airflow_provider_otpiq._broadcast.create import create_broadcast

        audience = f"{FOLDER}/manifest.json"
        request = CreateBroadcast.parse(**{"audience": audience, "name": name, "ledger": LEDGER, **TEMPLATE, **fields})
        result = create_broadcast(worlds.hook(), request, replace=replace)
        assert result.totals["campaigns"] == len(result.campaigns)
        world = worlds.current()
        world.was_replaced = world.was_replaced or (replace and START not in world.objects)

    run_fields = {"name": name, **({"replace": True} if replace else {}), **fields}
    return Step(f"create({run_fields})", run)


def start(minutes: int | None = None, *, ledger: str = LEDGER, max_delay: int = 30, **fields: Any) -> Step:
    """Start a broadcast a number of minutes after the model's begin, or as soon as possible."""

    def run() -> None:
        from airflow_provider_otpiq._broadcast.start import start_broadcast

        request = StartBroadcast.parse(
            broadcast=ledger,
            scheduled_for=None if minutes is None else worlds.BEGIN.add(minutes=minutes),
            lead_time=timedelta(minutes=10),
            max_delay=timedelta(minutes=max_delay),
            **fields,
        )
        result = start_broadcast(worlds.hook(), request)
        worlds.current().stopped = None
        assert result.totals["scheduled"] + result.totals["already_scheduled"] == len(result.campaigns)

    return Step(f"start(minutes={minutes}, {fields or ''}{'' if max_delay == 30 else f'max_delay={max_delay}'})", run)


def stop(**fields: Any) -> Step:
    """Stop a broadcast, and save which campaigns were too late."""

    def run() -> None:
        from airflow_provider_otpiq._broadcast.stop import stop_broadcast

        result = stop_broadcast(worlds.hook(), StopBroadcast.parse(broadcast=LEDGER, **fields))
        assert result.totals["stopped"] + result.totals["too_late"] == len(result.campaigns)
        late = [line.split()[3].rstrip(",") for line in result.too_late]
        worlds.current().stopped = tuple(sorted(late))

    return Step(f"stop({fields or ''})", run)


def prepare(parts: int = 2, first: int = 0) -> Step:
    """Write an audience in the order of `_audience.prepare`, without DuckDB."""
    files = list(_files(people(parts, first)))
    rows = parts * PART_SIZE
    counts = Counts(**{**dict.fromkeys(Counts.model_fields, 0), "rows": rows, "recipients": rows})
    manifest = Manifest(source=["f"], template_parameters={"body": ["1"]}, counts=counts, parts=[f[0] for f in files])

    def run() -> None:
        from airflow_provider_otpiq._audience.output import Output

        output = Output(FOLDER)
        if output.withdraw():
            output.write_parts(files, Progress())
            output.publish({None: manifest})
        else:
            output.require_same({None: manifest})
            output.restore(files, manifest)

    return Step(f"prepare({'other' if first else 'the same'} rows)", run)


def _files(parts: Iterable[list[str]]) -> Iterable[tuple[Part, bytes]]:
    for index, numbers in enumerate(parts):
        recipients = [{"phoneNumber": each, "templateParameters": {"body": {"1": "Zaynab"}}} for each in numbers]
        content = json.dumps(recipients).encode()
        checksum = sha256(content).hexdigest()
        yield Part(path=f"parts/{index:05}.json", recipients=len(numbers), sha256=checksum), content


def clock(minutes: float) -> Step:
    """Let time pass: an actor that is interrupted meanwhile was frozen."""

    def run() -> None:
        world = worlds.current()
        world.operate("clock", f"minute {minutes:g}", lambda: world.move_clock(60 * minutes))

    return Step(f"clock({minutes:g})", run)


def delete(*, only_request: bool = False) -> Step:
    """Delete the ledger, or only the folder of its request, as a person does."""
    folders = 3 if only_request else 2

    def run() -> None:
        world = worlds.current()

        def effect() -> None:
            for path in [path for path in world.objects if "/ledger/" in path and path.count("/") >= folders]:
                del world.objects[path]

        world.operate("delete", "the request's folder" if only_request else "the ledger", effect)

    return Step("delete", run)


def fill() -> Step:
    """Attach somebody else to the first campaign, as a person does in the dashboard."""

    def run() -> None:
        campaign = next(iter(worlds.current().campaigns.values()))
        campaign.people += (number(900),)

    return Step("fill", run)


def pause() -> Step:
    """Pause the template, as WhatsApp does."""

    def run() -> None:
        world = worlds.current()
        world.operate("pause", "the template", lambda: setattr(world, "template_status", "PAUSED"))

    return Step("pause", run)


def restore(release: str) -> Step:
    """Restore an audience and a half-started broadcast that an earlier release of this package has written."""
    saved = json.loads((_RELEASES / f"{release}.json").read_text())

    def run() -> None:
        world = worlds.current()
        world.objects |= {path: content.encode() for path, content in saved["objects"].items()}
        for campaign_id, name, time, numbers in saved["campaigns"]:
            world.campaigns[campaign_id] = worlds.Campaign(campaign_id, name, time, tuple(numbers))

    return Step(f"restore({release})", run)
