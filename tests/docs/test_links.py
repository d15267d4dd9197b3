"""The documentation's links and pictures exist. (Links to other sites are not checked.)"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from dev.local_airflow import REPOSITORY
from tests.docs.pages import PAGES, anchors, links

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_has_a_target(page: Path) -> None:
    for link in links(page):
        target = urlsplit(link)
        if target.scheme:
            assert target.scheme in ("http", "https"), link
            continue
        file = (page.parent / unquote(target.path)).resolve() if target.path else page
        assert file.is_relative_to(REPOSITORY), link
        assert file.exists(), link
        assert not target.fragment or target.fragment in anchors(file), link


def test_every_page_that_the_code_names_exists() -> None:
    folders = [REPOSITORY / "airflow_provider_otpiq", REPOSITORY / "example_dags"]
    code = [path for folder in folders for path in folder.rglob("*.py")]
    named = {name for path in code for name in re.findall(r"docs/[\w/.-]+\.md", path.read_text())}
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()


def test_the_readme_is_short_and_has_no_picture() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert len(readme.splitlines()) <= 200
    assert "![" not in readme  # a package registry could not find it
