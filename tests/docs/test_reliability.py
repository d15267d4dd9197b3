"""Each claim names a test that exists, and assumptions that are listed."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [REPOSITORY / "docs" / "reliability.md", REPOSITORY / "SECURITY.md"]
LIMITS = "## What you cannot rely on"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def claims(page: Path) -> list[str]:
    """List a page's claims, each with its tests and assumptions."""
    text = page.read_text().partition(LIMITS)[0]
    return [match[0] for match in re.finditer(r"^- .+\n(?:  .+\n)*", text, re.MULTILINE)]


def functions(path: str) -> set[str]:
    file = REPOSITORY / path
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}


@each_page
def test_each_claim_names_tests_that_exist(page: Path) -> None:
    assert len(claims(page)) > 20
    for claim in claims(page):
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", claim)
        assert named, claim
        assert [name for path, name in named if name not in functions(path)] == []


@each_page
def test_each_assumption_is_listed(page: Path) -> None:
    lines = re.findall(r"^  Assumes (.+)\.$", page.read_text(), re.MULTILINE)
    assert {name for line in lines for name in re.findall(r"`([^`]+)`", line)} <= ASSUMPTIONS.keys()
    assert bool(lines) is (page.name == "reliability.md")
