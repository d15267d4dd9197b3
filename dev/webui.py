"""Run Airflow with its web UI against the sandbox, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import signal
import sys

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import EXAMPLE_DAGS, REPOSITORY
from dev.running_airflow import RunningAirflow


def main(port: int) -> None:
    """Run Airflow until the process is interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Sandbox(port=8484) as sandbox, contextlib.suppress(KeyboardInterrupt):
        airflow = RunningAirflow(REPOSITORY / ".airflow-webui", EXAMPLE_DAGS, port)
        airflow.environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "False"
        airflow.migrate()
        # In the database, where the form shows it.
        connection = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key}
        airflow.run("connections", "delete", "otpiq_default")
        airflow.run("connections", "add", "otpiq_default", "--conn-json", json.dumps(connection)).check_returncode()
        airflow.run("pools", "set", "otpiq", "2", "Calls to OTPIQ").check_returncode()
        print(f"Airflow opens at {airflow.url} in half a minute, without a password.")
        print(f"The sandbox of OTPIQ: {sandbox.url.removesuffix('api')}\nPress Ctrl-C to end both.", flush=True)
        with airflow.started() as process:
            process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
