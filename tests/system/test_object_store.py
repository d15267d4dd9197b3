"""A broadcast whose tasks share only an object store: moto's S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._storage import Folder
from dev.local_airflow import REPOSITORY
from tests.broadcast.people import PRICE, TEMPLATE, messaged, number
from tests.operators.broadcasts import in_minutes

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.object_store import Store

pytestmark = pytest.mark.object_store

NAME = "Rabab-of-the-object-store"
PEOPLE = 2500
RUN = "summer/manual__2026-11-25T01:51:00+00:00"
CREATES = """
import sys
from airflow_provider_otpiq._storage import Folder

folder = Folder(sys.argv[1])
folder.read("nothing")  # connects it
print("ready", flush=True)
sys.stdin.readline()
print(sum(folder.create(f"{name:03}", sys.argv[2].encode()) for name in range(int(sys.argv[3]))))
"""


def isolated(home: Path, connections: dict[str, str]) -> dict[str, Any]:
    """Return the options of `subprocess` for a process that shares no folder with another."""
    for name in ("temporary", "work"):
        (home / name).mkdir(parents=True)
    environment = {"HOME": str(home), "AIRFLOW_HOME": str(home / "airflow"), "TMPDIR": str(home / "temporary")}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **connections}
    environment["OTPIQ_SKIP_RETRY_WAITS"] = "1"  # a stop would wait for two minutes
    return {"cwd": home / "work", "env": environment, "text": True}


def execute(home: Path, store: Store, sandbox: Sandbox, step: str, *, clock: int = 0, **fields: Any) -> dict[str, Any]:
    """Run a task that shares only the store, and return its XComs; its clock is ``clock`` seconds ahead."""
    otpiq = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key}
    connections = {**store.environment, "AIRFLOW_CONN_OTPIQ_DEFAULT": json.dumps(otpiq)}
    result = home.with_suffix(".json")
    parameters = json.dumps({"step": step, "fields": fields, "result": str(result), "clock": clock})
    command = [sys.executable, "-m", "tests.broadcast.worker", parameters]
    done = subprocess.run(command, capture_output=True, check=False, **isolated(home, connections))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [*(home / "temporary").iterdir(), *(home / "work").iterdir()] == []
    written = [file.read_bytes().decode(errors="replace") for file in home.rglob("*") if file.is_file()]
    assert NAME not in "".join([*written, done.stdout, done.stderr])
    assert "96477000" not in "".join([*written, done.stdout, done.stderr])
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def test_the_tasks_share_only_the_store(store: Store, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.credit = PEOPLE * PRICE
    rows = "".join(f"{NAME},{number(index)}\n" for index in (*range(PEOPLE), 1, 2))
    Folder(f"{store.url}/crm").write("people.csv", f"name,phone\n{rows}{NAME},12\n".encode())
    Folder(f"{store.url}/crm").write("opt_outs.csv", f"phone\n{number(0)}\n".encode())
    prepared = execute(
        tmp_path / "prepare", store, sandbox, "prepare", source=f"{store.url}/crm/peop*.csv", phone_number="phone",
        template_parameters={"body": {"1": "name"}}, suppress=f"{store.url}/crm/opt_outs.csv",
        output=f"{store.url}/{RUN}/audience",
    )  # fmt: skip
    manifest = prepared["return_value"]
    assert prepared["audience"]["recipients"] == PEOPLE - 1
    fields = {"audience": manifest, "name": "From S3", "shards": 2, **TEMPLATE}
    (ledger,) = {
        execute(tmp_path / f"create-{shard}", store, sandbox, "create", shard=shard, **fields)["return_value"]
        for shard in (0, 1)
    }
    assert ledger == f"{store.url}/{RUN}/audience/ledger"
    execute(tmp_path / "start", store, sandbox, "start", broadcast=ledger)
    again = execute(tmp_path / "start-again", store, sandbox, "start", broadcast=ledger)
    assert (again["broadcast"]["scheduled"], again["broadcast"]["already_scheduled"]) == (0, 3)
    stopped = execute(tmp_path / "stop", store, sandbox, "stop", broadcast=ledger)
    assert (stopped["broadcast"]["stopped"], messaged(sandbox)) == (3, Counter())
    execute(tmp_path / "restart", store, sandbox, "start", broadcast=ledger, scheduled_for=str(in_minutes(30)))
    assert messaged(sandbox) == Counter(map(number, range(1, PEOPLE)))
    sandbox.move_clock(hours=1)
    destination = f"{store.url}/{RUN}/report.csv"
    report = execute(
        tmp_path / "report", store, sandbox, "report", clock=3600, broadcast=ledger, destination=destination
    )
    assert report["return_value"] == destination
    assert (report["report"]["messages"], report["report"]["unmatched"]) == (PEOPLE - 1, 0)
    written = Folder(f"{store.url}/{RUN}").read("report.csv")
    assert written
    assert len(written.splitlines()) == PEOPLE


def test_the_groups_of_an_audience_share_only_the_store(store: Store, sandbox: Sandbox, tmp_path: Path) -> None:
    rows = "".join(f"{NAME},{number(index)},{('ar', 'ku')[index % 2]}\n" for index in range(10))
    Folder(f"{store.url}/segments").write("people.csv", f"name,phone,language\n{rows}".encode())
    prepare: dict[str, Any] = {
        "source": f"{store.url}/segments/people.csv",
        "phone_number": "phone",
        "group_by": "language",
        "template_parameters": {"body": {"1": "name"}},
        "output": f"{store.url}/groups",
    }
    groups = execute(tmp_path / "prepare", store, sandbox, "prepare", **prepare)["return_value"]
    assert [(each["group"], each["recipients"]) for each in groups] == [("ar", 5), ("ku", 5)]
    for each in groups:
        create = {"audience": each["manifest"], "name": "From S3", **TEMPLATE}
        ledger = execute(tmp_path / f"create-{each['group']}", store, sandbox, "create", **create)["return_value"]
        execute(tmp_path / f"start-{each['group']}", store, sandbox, "start", broadcast=ledger)
    assert messaged(sandbox) == Counter(map(number, range(10)))
    again = execute(tmp_path / "again", store, sandbox, "prepare", **prepare)["return_value"]
    assert again == groups


def test_of_two_processes_one_creates_an_object(store: Store, tmp_path: Path) -> None:
    names = 100
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CREATES, f"{store.url}/exclusive", content, str(names)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **isolated(tmp_path / content, store.environment),
        )
        for content in ("a", "b")
    ]
    for process in processes:
        assert process.stdout
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    created = [int(process.communicate()[0].split()[-1]) for process in processes]
    folder = Folder(f"{store.url}/exclusive")
    contents = list(folder.read_all(f"{name:03}" for name in range(names)).values())
    assert created == [contents.count(b"a"), contents.count(b"b")]
    assert sum(created) == names


def test_a_process_sees_what_another_has_just_written(store: Store, tmp_path: Path) -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    folder = Folder(f"{store.url}/seen")
    folder.write("before", b"1")
    assert [path.name for path in ObjectStoragePath(folder.location).iterdir()] == ["before"]  # which s3fs caches
    assert folder.read("000") is None
    subprocess.run(
        [sys.executable, "-c", CREATES, folder.location, "anew", "1"],
        input="\n",
        stdout=subprocess.PIPE,
        check=True,
        **isolated(tmp_path / "other", store.environment),
    )
    assert folder.read("000") == b"anew"
    assert folder.read_all(["000", "001", "before"]) == {"000": b"anew", "before": b"1"}
    assert folder.create("000", b"late") is False
    assert folder.read("000") == b"anew"
