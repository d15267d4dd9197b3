"""Run Airflow with its web UI against the sandbox, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import REPOSITORY, LocalAirflow


def main(port: str) -> None:
    """
    Run Airflow until the process is told to end.

    :param port: the port of the web UI.
    """
    with Sandbox(port=8484) as sandbox:
        airflow = LocalAirflow(REPOSITORY / ".airflow-webui")
        airflow.environment |= {
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        airflow.migrate()
        # In the database and not in the environment, so that the form shows it.
        connection = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key}
        airflow.run("connections", "delete", "otpiq_default")
        airflow.run("connections", "add", "otpiq_default", "--conn-json", json.dumps(connection)).check_returncode()
        print(f"Airflow will be at http://localhost:{port} in half a minute, as an admin, without a password.")
        print(
            f"The sandbox of OTPIQ: {sandbox.url.removesuffix('/api')}/_sandbox/state\nCtrl-C ends both.",
            flush=True,
        )
        _run_until_told_to_end(airflow)


def _run_until_told_to_end(airflow: LocalAirflow) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A group of its own: `airflow standalone` leaves children behind when it is told to end.
    process = subprocess.Popen([airflow.airflow, "standalone"], env=airflow.environment, start_new_session=True)
    try:
        process.wait()
    except KeyboardInterrupt:
        print("Ending Airflow …", flush=True)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
