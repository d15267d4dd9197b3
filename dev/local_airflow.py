"""An Airflow in its own folder, for the demo, the web UI and the system tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE_DAGS = REPOSITORY / "example_dags"


class LocalAirflow:
    """The Airflow of the running Python, with its own database, which ignores the machine's configuration."""

    def __init__(self, home: Path, dags: Path = EXAMPLE_DAGS) -> None:
        home.mkdir(parents=True, exist_ok=True)
        bin_folder = Path(sys.executable).parent
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.home = home
        self.airflow = str(bin_folder / "airflow")
        self.environment = inherited | {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
        }

    def connect(self, connection_id: str, **fields: object) -> None:
        """Add a connection of type ``otpiq`` to the environment, with fields such as ``host`` and ``password``."""
        name = f"AIRFLOW_CONN_{connection_id.upper()}"
        self.environment[name] = json.dumps({"conn_type": "otpiq", **fields})

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command; ``stdout`` of the result contains both streams."""
        return subprocess.run(
            [self.airflow, *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def migrate(self) -> None:
        """Create or update the database."""
        self.run("db", "migrate").check_returncode()
