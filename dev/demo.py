"""Run a whole campaign with its approval in a real Airflow against the sandbox, and show what happened."""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import EXAMPLE_DAGS, REPOSITORY
from dev.running_airflow import RunningAirflow, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG = "example_otpiq_lifecycle"
EXPECTED = ["POST campaigns", "POST recipients", "POST sample", "PATCH {_id}"]


def main() -> None:
    """Run the demo; exit with 1 if it did not do what it should."""
    began = time.monotonic()
    home = REPOSITORY / ".airflow-demo"
    shutil.rmtree(home, ignore_errors=True)  # an earlier demo's unfinished run would continue
    with Sandbox() as sandbox:
        print(f"A sandbox of OTPIQ listens on {sandbox.url}; it sends no messages.", flush=True)
        airflow = RunningAirflow(home, EXAMPLE_DAGS)
        airflow.connect("otpiq_default", host=sandbox.url, password=sandbox.api_key)
        print(f"Airflow {version('apache-airflow')} creates its database and starts …", flush=True)
        airflow.migrate()
        with airflow.log.open("wb") as output, airflow.started(output):
            airflow.wait_until_it_responds()
            started = time.monotonic()
            print(f"… and runs the DAG {DAG}:\n", flush=True)
            run = airflow.trigger(DAG)
            state = _run_to_end(airflow, run, sandbox)
        approved = sandbox.campaigns[0]
        print(f"  OTPIQ's campaign is {approved['status']} for {approved['scheduledFor']}", end=" ")
        print("and starts automatically; the sandbox's clock moves two days ahead.", flush=True)
        sandbox.move_clock(days=2)
        _show_sandbox(sandbox)
        print(f"\n{started - began:.0f} s to start Airflow, {time.monotonic() - started:.0f} s for the run.", end=" ")
        print(f"Airflow's log: {airflow.log.relative_to(REPOSITORY)}")
        print("For more than 1000 recipients, see example_otpiq_broadcast.")
        statuses = [approved["status"], sandbox.campaigns[0]["status"]]
        if state != "success" or _sent(sandbox) != EXPECTED or statuses != ["scheduled", "completed"]:
            sys.exit("The demo did not do what it should. Read the log.")


def _run_to_end(airflow: RunningAirflow, run: str, sandbox: Sandbox) -> str:
    shown: set[str] = set()

    def is_in_state(task_id: str, *states: str) -> bool:
        tasks = {task["task_id"]: task for task in airflow.tasks(run)}
        for task in tasks.values():
            if task["state"] == "success" and task["task_id"] not in shown:
                shown.add(task["task_id"])
                print(f"  Airflow  {task['task_id']:<8} success  {_xcom(airflow, run, task['task_id'])}", flush=True)
        return tasks[task_id]["state"] in states

    wait_until(lambda: is_in_state("approve", "awaiting_input", "failed", "upstream_failed"))
    draft = sandbox.campaigns[0]
    print(f"  Airflow  approve  waits for a person; OTPIQ's campaign is a {draft['status']}", flush=True)
    airflow.respond(run, "approve", "Approve")
    wait_until(lambda: is_in_state("schedule", "success", "failed", "upstream_failed"))
    return airflow.finished(run)


def _xcom(airflow: RunningAirflow, run: str, task_id: str) -> str:
    value: Any = airflow.xcom(run, task_id)
    return f"XCom {value}" if isinstance(value, str) else ""


def _calls(sandbox: Sandbox) -> Iterator[dict[str, Any]]:
    """Yield the requests other than GET."""
    return (request for request in sandbox.requests if request["method"] != "GET")


def _sent(sandbox: Sandbox) -> list[str]:
    campaign_id = sandbox.campaigns[0]["_id"]
    lines = [f"{request['method']} {request['path'].rpartition('/')[2]}" for request in _calls(sandbox)]
    return [line.replace(campaign_id, "{_id}") for line in lines]


def _show_sandbox(sandbox: Sandbox) -> None:
    for request in _calls(sandbox):
        print(f"\n  OTPIQ received  {request['method']} {request['path']}  -> {request['status']}")
        if body := request["body"]:
            people = body.get("recipients")
            print(f"    {len(people)} recipients" if people else f"    {json.dumps(body)}")
    for campaign in sandbox.campaigns:
        print(f"\n  OTPIQ has campaign {campaign['_id']}")
        for field in ("name", "status", "totalRecipients", "sentCount", "failedCount", "reconciledAmount"):
            print(f"    {field:<18}{campaign[field]}")


if __name__ == "__main__":
    main()
