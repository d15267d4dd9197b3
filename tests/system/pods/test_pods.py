"""Tasks in pods, as on Kubernetes: they share no disk, and only their secrets backend has the connections."""

from __future__ import annotations

import csv
import re
import subprocess
import tarfile
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._storage import Folder
from dev.local_airflow import EXAMPLE_DAGS, REPOSITORY
from dev.running_airflow import wait_until
from tests.broadcast.people import PRICE, messaged, number
from tests.system.observing import everything_written, requests_of
from tests.system.pods.executor import UNSHARE, pod_command, pod_environment, pod_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow
    from tests.system.object_store import Store

pytestmark = pytest.mark.pods

NAME = "Rabab-of-the-pods"
PEOPLE = 2500
LOG = re.compile(r"^media/airflow/logs/dag_id=.*\.log$")
READ_ONLY = (f"{REPOSITORY}/airflow_provider_otpiq", "/media/dags", "/media/secrets", "/tmp", "~root")  # noqa: S108


def running_pods(airflow: RunningAirflow) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the name and the first process of each running pod."""
    for process in airflow.processes():
        with suppress(psutil.NoSuchProcess):
            command = process.cmdline()
            if command[: len(UNSHARE)] == list(UNSHARE):
                yield command[len(UNSHARE) + 1], process


@pytest.fixture(autouse=True)
def killed(airflow: RunningAirflow, sandbox: Sandbox, pods: Path) -> Iterator[list[str]]:
    """Check that a pod, unless killed, leaves only its log, and that nothing contains the key or personal data."""
    before, killed = set(pods.iterdir()), list[str]()
    yield killed
    wait_until(lambda: not list(running_pods(airflow)))
    for pod in set(pods.glob("*.tar")) - before:
        if pod.stem not in killed:
            with tarfile.open(pod) as archive:
                left = [entry.name for entry in archive if not entry.isdir()]
            assert [LOG.sub("its log", name) for name in left] == ["its log"]
    archives_and_logs = (pod.read_bytes().decode(errors="replace") for pod in pods.iterdir())
    written = "".join([*everything_written(airflow), *archives_and_logs])
    assert sandbox.api_key not in written
    assert NAME not in written
    numbers = {*map(number, range(PEOPLE)), *people("audience.csv"), *people("team.csv")}
    # In any spelling: without the country's code and spaces.
    national = {phone_number.removeprefix("964") for phone_number in numbers}
    assert national.isdisjoint(re.findall(r"(?=(7\d{9}))", written.replace(" ", "")))


def people(file: str) -> list[str]:
    with (EXAMPLE_DAGS / file).open(encoding="utf-8") as rows:
        return [normalize(row["phone"]) for row in csv.DictReader(rows)]


@pytest.mark.parametrize("folder", READ_ONLY)
def test_a_pod_cannot_write_to(pods: Path, folder: str) -> None:
    done = run_in_pod(pods, f"touch {folder}/written")
    assert "Read-only file system" in done.stderr.decode()
    assert done.returncode


def test_a_pod_sees_only_its_folders(pods: Path) -> None:
    done = run_in_pod(pods, f"find {pods.parent.parent} $HOME $TMPDIR; ls /media/dags/*.csv; hostname; ps -e -o comm=")
    home, *found = done.stderr.decode().split()
    assert home == str(pods.parent.parent)
    assert found == [
        *("/media/home", "/media/temporary", "/media/dags/audience.csv", "/media/dags/team.csv", "probe"),
        *("pod.sh", "sh", "ps"),
    ]


def run_in_pod(pods: Path, command: str) -> subprocess.CompletedProcess[bytes]:
    pod = pod_command("probe", pods.parent, "sh", "-c", command)
    return subprocess.run(pod, env=pod_environment(""), capture_output=True, check=False)


def test_a_whole_campaign(airflow: RunningAirflow, sandbox: Sandbox) -> None:
    run = airflow.trigger("campaign")
    assert airflow.finished(run) == "success"
    campaign_id = airflow.xcom(run, "start")
    assert Counter(sandbox.recipients(campaign_id)) == Counter(people("audience.csv"))
    sandbox.move_clock(days=1)
    assert sandbox.campaigns[0]["_id"] == campaign_id
    assert sandbox.campaigns[0]["status"] == "completed"
    assert {task["hostname"] for task in airflow.tasks(run)} == {
        pod_name("campaign", task_id) for task_id in ("create", "attach", "sample", "start")
    }


def test_a_broadcast_whose_pods_are_killed(
    airflow: RunningAirflow, sandbox: Sandbox, store: Store, killed: list[str]
) -> None:
    sandbox.credit = PEOPLE * PRICE
    folder = Folder(store.url)
    rows = "".join(f"{NAME},{number(index)}\n" for index in range(PEOPLE))
    folder.write("crm/people.csv", f"name,phone\n{rows}".encode())
    folder.write("opt_outs.csv", f"phone\n{number(0)}\n".encode())
    sandbox.arm("attach", delay=30)
    run = airflow.trigger("broadcast", folder=store.url)
    wait_until(lambda: requests_of(sandbox, "attach"))
    killed += kill_all(airflow)
    assert airflow.finished(run) == "success"
    second = [task for task in airflow.tasks(run) if task["try_number"] == 2]
    assert second
    for task in second:
        name = ("broadcast", "create", task["map_index"])
        assert pod_name(*name) in killed
        assert task["hostname"] == pod_name(*name, try_number=2)
    assert messaged(sandbox) == Counter(map(number, range(1, PEOPLE)))


def kill_all(airflow: RunningAirflow) -> Iterator[str]:
    for name, process in running_pods(airflow):
        process.kill()
        yield name
