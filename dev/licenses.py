"""Check the licenses of all that is installed with this package."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Licenses that ask for no more than a notice: by their SPDX identifiers, as PyPI's classifiers call them, and as some
# projects write them.
_PERMISSIVE = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"),
    *("Apache Software License", "BSD License", "ISC License (ISCL)", "MIT License"),
    *("Python Software Foundation License", "The Unlicense (Unlicense)"),
    "3-Clause BSD License",
}

_EXCEPTIONS = {
    # The MPL asks something only of those who change the files under it, which nobody does here. The first comes with
    # requests, the second with Airflow.
    "certifi": {"Mozilla Public License 2.0 (MPL 2.0)"},
    "pathspec": {"Mozilla Public License 2.0 (MPL 2.0)"},
    # One of these may be chosen, and the Artistic License asks nothing of those who only use it. It comes with Airflow.
    "text-unidecode": {
        "Artistic License",
        "GNU General Public License (GPL)",
        "GNU General Public License v2 or later (GPLv2+)",
    },
}


def check_licenses(site_packages: Path) -> tuple[int, list[str]]:
    """
    Read the licenses of all that is installed.

    :param site_packages: where it is installed.
    :return: how many distributions there are, and a line for each whose license is unknown or may not fit.
    """
    installed = sorted(distributions(path=[str(site_packages)]), key=lambda each: each.name.lower())
    unfit = [each for each in installed if not _fits(each)]
    return len(installed), [f"{each.name} {each.version}: {', '.join(licenses(each)) or 'unknown'}" for each in unfit]


def licenses(distribution: Distribution) -> list[str]:
    """
    Find the names of a distribution's licenses in its metadata, the most precise field first.

    :param distribution: what is installed.
    :return: the names; of a choice all, so that each has to fit.
    """
    fields = {
        name: distribution.metadata.get_all(name) or [] for name in ("License-Expression", "Classifier", "License")
    }
    return (
        [name for text in fields["License-Expression"] for name in re.split(r" AND | OR |[()]", text) if name]
        or [text.rpartition(" :: ")[2] for text in fields["Classifier"] if text.startswith("License :: ")]
        or [line for text in fields["License"] for line in text.strip().splitlines()[:1]]
    )


def _fits(distribution: Distribution) -> bool:
    names = set(licenses(distribution))
    return bool(names) and names <= _PERMISSIVE | _EXCEPTIONS.get(distribution.name, set())
