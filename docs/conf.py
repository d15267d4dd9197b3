"""Sphinx's configuration, for ``make docs``. The build needs no network, and the site loads nothing from one."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

# Before Airflow is imported: the build must not use the machine's Airflow.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent / "_build" / "airflow")

import airflow_provider_otpiq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

project = "airflow-provider-otpiq"
author = "the authors of airflow-provider-otpiq"
copyright = f"2026, {author}"
version = release = airflow_provider_otpiq.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["attrs_block"]  # for {.cards}
myst_heading_anchors = 4  # a link may end in `#a-heading`, by GitHub's rule

autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "signature"
maximum_signature_line_length = 80  # one parameter a line
python_use_unqualified_type_names = True

# Airflow's, Python's and the dependencies' own documentation is not linked: that would need a network.
_FOREIGN = r"(airflow|datetime|pydantic|pytest|requests)\..*|Airflow.*"
_PRIVATE = r"airflow_provider_otpiq\._.*|PendingMarker"
_UNQUALIFIED = "Context|Logger|ObjectStoragePath|PathLike|RetryDecision|XComArg|datetime|timedelta"
nitpick_ignore_regex = [(r"py:.*", f"{_FOREIGN}|{_UNQUALIFIED}|{_PRIVATE}")]
nitpick_ignore = [("py:func", "phone_numbers.normalize")]  # until that docstring names no private module


def _type_aliases() -> Iterator[tuple[str, str]]:
    """Yield the aliases that the package defines for type checkers only, such as ``Text``, and what they stand for."""
    for path in Path(airflow_provider_otpiq.__file__).parent.rglob("*.py"):
        for block in ast.parse(path.read_text()).body:
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
                for node in block.body:
                    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                        yield node.targets[0].id, ast.unparse(node.value)


_ALIASES = dict(_type_aliases())
_ALIAS = re.compile(rf"\b({'|'.join(_ALIASES)})\b(?!=)")


def _expand_aliases(*event: object) -> tuple[str, str] | None:
    """Write what an alias stands for into a signature: a reader does not know ``Text``."""
    *_, signature, returns = event
    return signature and (_ALIAS.sub(lambda alias: _ALIASES[alias[1]], str(signature)), returns)  # type: ignore[return-value]


def setup(app: Sphinx) -> None:
    """Let Sphinx call the function above."""
    app.connect("autodoc-process-signature", _expand_aliases)
