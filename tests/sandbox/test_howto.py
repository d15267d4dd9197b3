"""The project of docs/howto/test-your-dags.md, laid out and tested as its reader does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (REPOSITORY / "docs" / "howto" / "test-your-dags.md").read_text()
FILES = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
CONFIGURATION = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_python_is_a_file() -> None:
    assert len(FILES) == PAGE.count("```python") == 4
    assert len(CONFIGURATION) == 1


@pytest.mark.system
@pytest.mark.skipif(AIRFLOW_VERSION.release < (3, 3), reason="what the page says of dag.test() is Airflow 3.3's")
def test_the_pages_tests_pass(tmp_path: Path) -> None:
    for name, code in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    (tmp_path / "pytest.ini").write_text(CONFIGURATION[0])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "--strict-config", "-p", "no:cacheprovider"]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert "5 passed" in run.stdout, run.stdout + run.stderr
