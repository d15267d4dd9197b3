"""Whether a user of this package may have what is installed with it: the licenses of an environment's distributions."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Those of which the Apache License 2.0 asks nothing more than a notice: by their SPDX identifiers, by what PyPI's
# classifiers call them, and as some projects write them.
_PERMISSIVE = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0"),
    *("Apache Software License", "BSD License", "ISC License (ISCL)", "MIT License"),
    *("Python Software Foundation License", "The Unlicense (Unlicense)"),
    "3-Clause BSD License",
}

_EXCEPTIONS = {
    "certifi": "MPL-2.0, which is about its own files only; nobody changes them here. It comes with requests.",
    "pathspec": "MPL-2.0, as above. It comes with Airflow.",
    "text-unidecode": "The Artistic License or the GPL, as one likes: the former. It comes with Airflow.",
}


def check_licenses(site_packages: Path) -> tuple[int, list[str]]:
    """
    Read the licenses of all that is installed.

    :param site_packages: where it is installed.
    :return: how many distributions there are, and a line for each whose license is unknown or may not fit.
    """
    installed = sorted(distributions(path=[str(site_packages)]), key=lambda each: each.name.lower())
    unfit = [each for each in installed if each.name not in _EXCEPTIONS and not _is_permissive(licenses(each))]
    return len(installed), [f"{each.name} {each.version}: {', '.join(licenses(each)) or 'unknown'}" for each in unfit]


def licenses(distribution: Distribution) -> list[str]:
    """
    Find the names of a distribution's licenses in its metadata, the most precise field first.

    :param distribution: what is installed.
    :return: the names; of a choice all, so that each has to fit.
    """
    metadata = distribution.metadata
    expression = metadata.get("License-Expression", "")
    classifiers = [each for each in metadata.get_all("Classifier", []) if each.startswith("License :: ")]
    return (
        [name for name in re.split(r" AND | OR |[()]", expression) if name]
        or [each.rpartition(" :: ")[2] for each in classifiers]
        or metadata.get("License", "").strip().splitlines()[:1]
    )


def _is_permissive(names: list[str]) -> bool:
    return bool(names) and set(names) <= _PERMISSIVE
