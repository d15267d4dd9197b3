"""Run the example DAG in a real Airflow against the sandbox, and show what each of them saw."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import REPOSITORY, LocalAirflow

DAG = "example_otpiq_campaign"


def main() -> None:
    """Run the demo; exit with 1 if anything did not happen."""
    began = time.monotonic()
    home = REPOSITORY / ".airflow-demo"
    with Sandbox() as sandbox:
        print(f"A sandbox of OTPIQ listens on {sandbox.url}; nobody gets a message.", flush=True)
        airflow = LocalAirflow(home)
        airflow.connect("otpiq_default", host=sandbox.url, password=sandbox.api_key)
        print(f"Airflow {version('apache-airflow')} makes its database …", flush=True)
        airflow.migrate()
        migrated = time.monotonic()
        print(f"… and runs the DAG {DAG}:\n", flush=True)
        run = airflow.run("dags", "test", DAG)
        ran = time.monotonic()
        log = home / "demo.log"
        log.write_text(run.stdout)
        _show_tasks(run.stdout)
        _show_sandbox(sandbox)
        print(f"\n{migrated - began:.0f} s for the database, {ran - migrated:.0f} s for the run.", end=" ")
        print(f"Airflow's whole log: {log.relative_to(REPOSITORY)}")
        if run.returncode or [request["method"] for request in sandbox.requests] != ["POST", "PATCH"]:
            sys.exit("The demo did not do what it should; the log tells why.")


def _show_tasks(log: str) -> None:
    ours = "airflow_provider_otpiq.operators"
    for line in log.splitlines():
        _, _, text = line.partition("] ")
        if "[DAG TEST] starting task_id=" in line:
            print("  Airflow, task", line.split("task_id=")[1].split()[0])
        elif ours in line:
            print("   ", text.split(f" [airflow.task.operators.{ours}")[0].strip())


def _show_sandbox(sandbox: Sandbox) -> None:
    for request in sandbox.requests:
        print(f"\n  OTPIQ received  {request['method']} {request['path']}  -> {request['status']}")
        print(f"    {json.dumps(request['body'])}")
    for campaign in sandbox.campaigns:
        print(f"\n  OTPIQ holds campaign {campaign['_id']}")
        for field in ("name", "status", "scheduledFor"):
            print(f"    {field:<14}{campaign[field]}")


if __name__ == "__main__":
    main()
