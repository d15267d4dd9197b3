"""A PostgreSQL of Debian's packages for one Airflow."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def postgresql(environment: dict[str, str]) -> Iterator[None]:
    """Run a PostgreSQL, and point an Airflow to it."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    # Only root can enter pytest's folder, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="otpiq-"))
    # PostgreSQL refuses to run as root.
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data, sockets = folder / "data", folder / "sockets"
    sockets.mkdir(parents=True)
    if as_postgres:
        shutil.chown(folder, "postgres")
        shutil.chown(sockets, "postgres")

    def run(*command: object) -> None:
        subprocess.run([*as_postgres, *map(str, command)], check=True, capture_output=True, cwd="/")

    # A socket needs no free port.
    options = f"-c listen_addresses='' -c unix_socket_directories={sockets}"
    try:
        run(programs / "initdb", "--auth=trust", "--username=postgres", "--pgdata", data)
        run(programs / "pg_ctl", "--wait", "--pgdata", data, "--log", folder / "log", "--options", options, "start")
        run(programs / "createdb", "--host", sockets, "--username=postgres", "airflow")
        environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://postgres@/airflow?host={sockets}"
        environment["OTPIQ_TEST_POSTMASTER"] = (data / "postmaster.pid").read_text().splitlines()[0]
        environment["OTPIQ_TEST_DUMP"] = f"pg_dump --host {sockets} --username postgres airflow"
        yield
    finally:
        stop = [*as_postgres, str(programs / "pg_ctl"), "--pgdata", str(data), "--mode=immediate", "stop"]
        subprocess.run(stop, check=False, capture_output=True, cwd="/")
        shutil.rmtree(folder)
