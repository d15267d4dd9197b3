"""The documentation's pages: their code blocks, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from markdown_it.token import Token

DOCS = REPOSITORY / "docs"
TUTORIAL = "docs/tutorial.md"
PAGES = [
    path for path in [*REPOSITORY.glob("*.md"), *sorted(DOCS.rglob("*.md"))] if DOCS / "_build" not in path.parents
]


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    page: str
    line: int
    language: str
    code: str
    note: str
    """The text of the HTML comment before it, such as ``continues``."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def blocks(page: Path) -> list[Block]:
    """Find a page's code blocks. A block that continues another begins with the other's code."""
    found: list[Block] = []
    for before, token in pairwise([None, *tokens(page)]):
        if not token or token.type != "fence":
            continue
        assert token.map
        comment = re.fullmatch(r"<!-- (.+) -->\s*", before.content) if before else None
        note = comment[1] if comment else ""
        code = found[-1].code + token.content if note == "continues" else token.content
        found.append(Block(str(page.relative_to(REPOSITORY)), token.map[0] + 1, token.info.strip(), code, note))
    return found


def links(page: Path) -> list[str]:
    """List the targets of a page's links and pictures."""
    inline = [child for token in tokens(page) for child in token.children or []]
    found = [child.attrs.get("href") or child.attrs.get("src") for child in inline]
    return [str(target) for target in found if target]


def anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, by GitHub's rule."""
    headings = [
        "".join(child.content for child in following.children or [])
        for token, following in pairwise(tokens(page))
        if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


BLOCKS = [block for page in PAGES for block in blocks(page)]
