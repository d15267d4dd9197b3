"""Installation with an Airflow whose constraint file is too old for this package."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION

COMPAT = "apache-airflow-providers-common-compat"
UV = str(Path(sys.executable).parent / "uv")
AIRFLOW = f"apache-airflow=={version('apache-airflow')}"


@pytest.mark.system
@pytest.mark.skipif(AIRFLOW_VERSION.release[:2] != (3, 0), reason="later constraint files fit")
def test_two_steps_install_the_package(tmp_path: Path) -> None:
    own = tmp_path / "constraints.txt"
    pinned = (REPOSITORY / "dev" / "constraints" / "3.0.txt").read_text().splitlines()
    own.write_text("\n".join([*(line for line in pinned if not line.startswith(COMPAT)), f"{COMPAT}==1.7.3"]))
    uv(tmp_path, "venv", str(tmp_path / "venv"))
    uv(tmp_path, "pip", "install", AIRFLOW, COMPAT, "--constraint", str(own))
    in_one_step = uv(tmp_path, "pip", "install", AIRFLOW, str(REPOSITORY), "--constraint", str(own), check=False)
    assert in_one_step.returncode
    assert COMPAT in in_one_step.stderr
    uv(tmp_path, "pip", "install", AIRFLOW, str(REPOSITORY))
    uv(tmp_path, "pip", "check")
    installed = uv(tmp_path, "pip", "freeze").stdout.splitlines()
    assert AIRFLOW in installed
    assert [line for line in installed if line.startswith("airflow-provider-otpiq")]


def uv(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    python = ["--python", sys.executable if "venv" in command else str(folder / "venv" / "bin" / "python")]
    return subprocess.run([UV, *command, *python], capture_output=True, text=True, check=check)
