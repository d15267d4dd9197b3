"""The events that Airflow's OpenLineage provider writes for a real run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState

from tests.conftest import airflow_in
from tests.dag_runner import DagRunner

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox

pytestmark = pytest.mark.system

PEOPLE = "id,phone,name\nC-17,0770 123 4567,Zaynab\nC-18,+964 780 123 4567,Mustafa\n"
SECRETS = (
    *("7701234567", "770 123 4567", "7801234567", "780 123 4567", "7809876543"),
    *("Zaynab", "Mustafa", "Hawraa", "C-1"),
)


def test_the_events_lead_from_files_to_campaigns_and_a_report(
    airflow_home: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "people.csv").write_text(PEOPLE)
    airflow = airflow_in(airflow_home, sandbox)
    transport = {"type": "file", "log_file_path": str(tmp_path / "events"), "append": True}
    airflow.environment["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(transport)
    with DagRunner(airflow) as runner:
        state, log = runner.run(airflow_home / "dags" / "tests" / "lineage.py", conf={"folder": str(folder)})
    assert state == "success", log
    text = (tmp_path / "events").read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    events = map(parsed, text.splitlines())
    completed = {event.job.name: event for event in events if event.eventType is RunState.COMPLETE}
    assert {name: datasets_of(event) for name, event in completed.items() if event.inputs or event.outputs} == {
        "lineage.prepare": ({("file", f"{folder}/people.csv")}, {("file", f"{folder}/audience"): 2}),
        "lineage.broadcast": ({("file", f"{folder}/audience")}, campaigns(sandbox)),
        "lineage.start": ({("file", f"{folder}/audience")}, campaigns(sandbox)),
        "lineage.report": (set(campaigns(sandbox)), {("file", f"{folder}/report.parquet"): 0}),
    }
    assert {"lineage.create", "lineage.attach"} <= completed.keys()


def campaigns(sandbox: Sandbox) -> dict[tuple[str, str], int]:
    return {
        ("otpiq://Sandbox%20project", f"campaigns/{campaign['_id']}"): 2
        for campaign in sandbox.campaigns
        if campaign["name"].startswith("Lineage")
    }


def parsed(line: str) -> RunEvent:
    """Parse an event with OpenLineage's classes, which validate it."""
    event = json.loads(line)
    return RunEvent(
        eventType=RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=Run(event["run"]["runId"], event["run"]["facets"]),
        job=Job(event["job"]["namespace"], event["job"]["name"], event["job"]["facets"]),
        inputs=[InputDataset(**dataset) for dataset in event["inputs"]],
        outputs=[OutputDataset(**dataset) for dataset in event["outputs"]],
    )


def datasets_of(event: RunEvent) -> tuple[set[tuple[str, str]], dict[tuple[str, str], Any]]:
    """Return the inputs, and the outputs with their row counts."""
    rows: dict[tuple[str, str], Any] = {}
    for dataset in event.outputs or []:
        facets: Any = dataset.outputFacets
        rows[dataset.namespace, dataset.name] = facets["outputStatistics"]["rowCount"]
    return {(dataset.namespace, dataset.name) for dataset in event.inputs or []}, rows
