"""Every command of the tutorial is run, and prints what the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.conftest import AIRFLOW_VERSION
from tests.docs.pages import BLOCKS, TUTORIAL
from tests.docs.test_blocks import FILE_NAME

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.docs.pages import Block

PAGE = [block for block in BLOCKS if block.page == TUTORIAL]
# The tests have this environment and a sandbox; a terminal is needed for the web UI, an account for the last one.
NOT_RUN = ("python3 -m venv", "otpiq-sandbox", "airflow standalone", "export AIRFLOW_CONN_OTPIQ_DEFAULT='{")
AFTER_THE_START = "airflow dags test summer_report\n"
LATER = "import datetime, time_machine; time_machine.travel(datetime.timedelta(minutes=3)).start()"


def commands() -> list[Block]:
    return [block for block in PAGE if block.language == "bash" and not block.code.startswith(NOT_RUN)]


def shown() -> list[str]:
    """List the lines that the page shows after a command that runs here; an ellipsis stands for anything."""
    before = dict(zip(map(str, PAGE[1:]), PAGE, strict=False))
    after = [block for block in PAGE if block.language == "text" and before[str(block)] in commands()]
    return [part for block in after for line in block.code.splitlines() for part in line.split("…")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with all files of the page."""
    for block in PAGE:
        named = FILE_NAME.match(block.code)
        if name := named[1] if named else block.note:
            path = tmp_path / "otpiq-tutorial" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
    return tmp_path


def run(folder: Path, script: str, sandbox: Sandbox) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = script.replace("127.0.0.1:8484", urlsplit(sandbox.url).netloc).replace("sk_dev_sandbox", sandbox.api_key)
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env=environment | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.scheduler
@pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 3), reason="the page is for the newest Airflow")
def test_each_command_prints_what_the_page_shows(folder: Path, sandbox: Sandbox) -> None:
    script = "".join(block.code for block in commands())
    now, after = script.split(AFTER_THE_START)
    output = run(folder, f"{now}\nexport -p > ../variables", sandbox)
    (campaign,) = sandbox.campaigns  # also after the second run
    assert (campaign["status"], campaign["totalRecipients"]) == ("scheduled", 3)

    (folder / "later").mkdir()
    (folder / "later" / "sitecustomize.py").write_text(LATER)
    sandbox.move_clock(minutes=3)
    in_folder = f"source variables\nexport PYTHONPATH={folder}/later\ncd otpiq-tutorial\n"
    output += run(folder, in_folder + AFTER_THE_START + after, sandbox)
    assert len(shown()) > 10
    assert [line for line in shown() if line not in output] == []
