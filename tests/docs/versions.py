"""The tables of *Versions of Airflow and Python*."""

from __future__ import annotations

from importlib.metadata import version

from packaging.version import Version

from tests.docs.pages import DOCS, tokens

_PAGE = DOCS / "howto" / "airflow-versions.md"
_NEED_APPROVAL = {"example_otpiq_broadcast", "example_otpiq_lifecycle"}
_NEED_ASSETS = {"example_otpiq_results"}


def tables() -> list[list[list[str]]]:
    """Read the page's tables: rows of cells, the heads first."""
    found: list[list[list[str]]] = []
    for token in tokens(_PAGE):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 4:
            found[-1][-1].append(token.content)
    return found


def documented(difference: str) -> bool:
    """Read the cell of a difference for the running Airflow; its row is found by how it begins."""
    _, (head, *rows) = tables()
    major, minor, *_ = Version(version("apache-airflow")).release
    column = head.index(running) if (running := f"{major}.{minor}") in head else -1  # a pre-release, like the newest
    (cell,) = [row[column] for row in rows if row[0].startswith(difference)]
    return {"yes": True, "no": False}[cell]


def examples_that_cannot_load() -> set[str]:
    """Name the example DAGs that are an import error on the running Airflow."""
    approval = set() if documented("`ApprovalOperator`") else _NEED_APPROVAL
    assets = set() if documented("outlets are assets") else _NEED_ASSETS
    return approval | assets
