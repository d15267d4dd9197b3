"""Every command of the pages is run, or exists. (The tutorial has its own test.)"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_otpiq.check.__main__ import main
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from dev.constraints import environments
from dev.local_airflow import REPOSITORY
from tests.conftest import AIRFLOW_VERSION
from tests.docs.pages import BLOCKS, PAGES, TUTORIAL

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.local_airflow import LocalAirflow

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def split(script: str) -> list[list[str]]:
    """Split a script into its commands, and these into words."""
    lexer = shlex.shlex(script.replace("\\\n", " "), posix=True, punctuation_chars="\n&")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    return [list(words) for is_end, words in groupby(lexer, lambda word: set(word) <= set("\n&")) if not is_end]


COMMANDS = [
    (str(block), words)
    for block in BLOCKS
    if block.language == "bash" and block.page != TUTORIAL
    for words in split(block.code)
]


def called(*start: str) -> pytest.MarkDecorator:
    found = [
        pytest.param(words[len(start) :], id=f"{block} {shlex.join(words)[:40]}")
        for block, words in COMMANDS
        if words[: len(start)] == [*start]
    ]
    return pytest.mark.parametrize("words", found)


def test_each_command_has_a_test_below() -> None:
    programs = {"airflow", "curl", "export", "make", "otpiq-check", "otpiq-sandbox", "pip"}
    assert {words[0] for _, words in COMMANDS} == programs


def test_the_make_targets_exist() -> None:
    in_makefile = re.findall(r"^([a-z][a-z0-9.-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    in_sentences = re.findall(r"`make ([a-z][a-z0-9.-]*)", "\n".join(page.read_text() for page in PAGES))
    in_blocks = [words[1] for _, words in COMMANDS if words[0] == "make"]
    per_version = [f"test-{environment.airflow}" for environment in environments()]
    assert {*in_sentences, *in_blocks} <= {*in_makefile, *per_version}


@called("pip", "install")
def test_this_package_has_the_extras_that_are_installed(words: list[str]) -> None:
    ours = [re.fullmatch(r"(?:\.|airflow-provider-otpiq)(?:\[(.+)\])?", requirement) for requirement in words]
    extras = [match[1] or "" for match in ours if match]
    assert extras
    assert set(filter(None, ",".join(extras).split(","))) <= set(PROJECT["optional-dependencies"])


def connections() -> list[tuple[str, str]]:
    """List the ids and the values of the connections that the pages define."""
    variables = [word.partition("=") for _, words in COMMANDS if words[0] == "export" for word in words[1:]]
    exported = [(name.lower(), value) for name, _, value in variables if name.startswith("AIRFLOW_CONN_")]
    added = [words[3:] for _, words in COMMANDS if words[:3] == ["airflow", "connections", "add"]]
    assert {option for _, option, _ in added} <= {"--conn-json", "--conn-uri"}
    return [(name.removeprefix("airflow_conn_"), value) for name, value in exported] + [
        (connection_id, value) for connection_id, _, value in added
    ]


@pytest.mark.parametrize(("connection_id", "value"), connections())
def test_the_hook_accepts_a_connection(connection_id: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", value)
    assert OtpiqHook(connection_id).get_conn()


@pytest.mark.system
@called("airflow")
def test_an_airflow_command_succeeds(airflow: LocalAirflow, words: list[str]) -> None:
    run = airflow.run(*words, *(["--help"] if words == ["standalone"] else []))  # which does not end
    assert run.returncode == 0, run.stdout


@pytest.mark.system
@called("otpiq-sandbox")
def test_the_sandbox_runs(words: list[str]) -> None:
    options = [re.sub(r"^\d{4}$", "0", word) for word in words] or ["--port", "0"]  # the port may be taken
    program = str(Path(sys.executable).parent / "otpiq-sandbox")
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout
        printed = [sandbox.stdout.readline() for _ in range(4)]
        sandbox.terminate()
    assert "base URL" in "".join(printed)


@called("otpiq-check")
def test_the_check_runs(
    words: list[str], sandbox_hook: OtpiqHook, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTPIQ_API_KEY", sandbox.api_key)
    monkeypatch.chdir(tmp_path)
    assert main([sandbox.url if word.startswith("https:") else word for word in words]) == 0


@called("curl")
def test_a_server_accepts_a_request(words: list[str], sandbox: Sandbox) -> None:
    options = dict(pairwise(words))
    (url,) = [urlsplit(word) for word in words if word.startswith("http")]
    body = options.get("--data")
    method = options.get("--request", "POST" if body else "GET")
    if url.path.startswith("/api/v2/"):
        if AIRFLOW_VERSION.release >= (3, 3):
            assert (method.lower(), as_template(url.path)) in airflow_operations()
        return
    address = sandbox.url.removesuffix("/api") + url.path
    response = requests.request(method, address, json=json.loads(body) if body else None, timeout=10)
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
