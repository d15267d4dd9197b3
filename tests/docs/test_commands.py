"""Every command of the documentation's bash blocks is run, or is at least one that exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from dev.constraints import environments
from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION
from tests.docs.pages import BLOCKS, PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow
    from tests.docs.pages import Block

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def commands(block: Block) -> Iterator[list[str]]:
    """Split a block into its commands, and these into words; a quoted word may go over several lines."""
    pending = ""
    for line in block.code.replace("\\\n", " ").splitlines():
        pending = f"{pending}\n{line}".lstrip()
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation is open
            continue
        pending = ""
        if words:
            yield words
    assert not pending, block


COMMANDS = [(block, words) for block in BLOCKS if block.language == "bash" for words in commands(block)]


def called(program: str, *arguments: str) -> pytest.MarkDecorator:
    found = [
        pytest.param(words, id=f"{block} {shlex.join(words)[:40]}")
        for block, words in COMMANDS
        if words[: 1 + len(arguments)] == [program, *arguments]
    ]
    return pytest.mark.parametrize("words", found)


def test_each_command_has_a_test_below() -> None:
    assert {words[0] for _, words in COMMANDS} <= {"airflow", "curl", "export", "make", "otpiq-sandbox", "pip"}


def targets() -> set[str]:
    written = re.findall(r"^([a-z][a-z0-9.-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return {*written, *(f"test-{environment.airflow}" for environment in environments())}


@called("make")
def test_a_make_target_is_there(words: list[str]) -> None:
    assert words[1] in targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_make_target_in_a_sentence_is_there(page: Path) -> None:
    assert set(re.findall(r"`make ([a-z][a-z0-9.-]*)", page.read_text())) <= targets()


@called("pip", "install")
def test_this_package_has_the_extras_that_are_installed(words: list[str]) -> None:
    ours = [re.fullmatch(r"(?:\.|airflow-provider-otpiq)(?:\[(.+)\])?", requirement) for requirement in words[2:]]
    extras = [match[1] for match in ours if match]
    assert extras
    assert set(filter(None, extras)) <= set(PROJECT["optional-dependencies"])


@called("airflow", "connections", "add")
def test_the_hook_takes_a_connection_that_is_added(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    connection_id, option, value = words[3:]
    assert option in ("--conn-json", "--conn-uri")
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", value)
    assert OtpiqHook(connection_id).get_conn()


@called("export")
def test_the_hook_takes_a_connection_that_is_exported(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, value = words[1].partition("=")
    assert name.startswith("AIRFLOW_CONN_")
    monkeypatch.setenv(name, value)
    assert OtpiqHook(name.removeprefix("AIRFLOW_CONN_").lower()).get_conn()


@pytest.mark.system
@called("airflow")
def test_an_airflow_command_succeeds(airflow: LocalAirflow, words: list[str]) -> None:
    run = airflow.run(*words[1:])
    assert run.returncode == 0, run.stdout


@pytest.mark.system
@called("otpiq-sandbox")
def test_the_sandbox_runs(words: list[str]) -> None:
    program = str(Path(sys.executable).parent / words[0])
    options = [re.sub(r"^\d{4}$", "0", word) for word in words[1:]]  # the port may be taken
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout
        printed = [sandbox.stdout.readline() for _ in range(4)]
        sandbox.terminate()
    assert "base URL" in "".join(printed)


def request_of(curl: list[str]) -> tuple[str, str, str | None]:
    """Read the method, the URL's path and the body of a call of curl."""
    options = dict(pairwise(curl))
    (url,) = [word for word in curl if word.startswith("http")]
    body = options.get("--data")
    return options.get("--request", "POST" if body else "GET"), urlsplit(url).path, body


@called("curl")
def test_a_request_is_one_that_its_server_takes(words: list[str], sandbox: Sandbox) -> None:
    method, path, body = request_of(words)
    if path.startswith("/api/v2/"):
        if AIRFLOW_VERSION.release >= (3, 3):
            assert (method.lower(), as_template(path)) in airflow_operations()
        return
    url = sandbox.url.removesuffix("/api") + path
    response = requests.request(method, url, json=json.loads(body) if body else None, timeout=10)
    assert response.ok, response.text


def as_template(path: str) -> str:
    """Blank the variable parts of a path: ``{dag_id}``, ``$DAG_ID`` or a key of the store."""
    return re.sub(r"\{\w+\}|\$\w+|otpiq_[\w$]+", "{}", path)


def airflow_operations() -> set[tuple[str, str]]:
    import airflow.api_fastapi.core_api as api

    specification = (Path(str(api.__file__)).parent / "openapi" / "v2-rest-api-generated.yaml").read_text()
    paths = re.split(r"^  (/\S+):$", specification, flags=re.MULTILINE)[1:]
    return {
        (method, as_template(path))
        for path, operations in zip(paths[::2], paths[1::2], strict=True)
        for method in re.findall(r"^    (\w+):$", operations, re.MULTILINE)
    }
