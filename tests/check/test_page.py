"""The page *Before production* is about the command as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.check.__main__ import _parser
from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.check.conftest import Check

PAGE = (REPOSITORY / "docs" / "howto" / "before-production.md").read_text()


def test_the_output_on_the_page_is_the_output(create: Check, sandbox: Sandbox) -> None:
    sandbox.deviations = {"attach-all-present"}
    (shown,) = re.findall("```text\\n(.+?)```", PAGE, re.DOTALL)
    assert set(shown.splitlines()) <= set(create().out.splitlines())


def test_the_page_lists_what_cannot_be_checked() -> None:
    listed = re.findall(r"^\| `([\w-]+)`: (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    unchecked = [assumption for assumption in ASSUMPTIONS.values() if not assumption.checkable]
    assert listed == [(it.id, it.text, it.affects, it.if_wrong) for it in unchecked]


def test_the_page_describes_each_option() -> None:
    options = re.findall(r"--[a-z-]+", _parser().format_help())
    described = re.findall(r"^\| `(--[a-z-]+)` \|", PAGE, re.MULTILINE)
    assert set(options) - {"--help"} == set(described)
