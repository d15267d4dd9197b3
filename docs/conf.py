"""How Sphinx builds the site: ``make docs``. It needs no network, and the pages that it makes load nothing from one."""

from __future__ import annotations

import os
from pathlib import Path

# Before Airflow is imported: the build must not see, nor make, an Airflow of the machine.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent / "_build" / "airflow")

import airflow_provider_otpiq

project = "airflow-provider-otpiq"
author = "The authors of airflow-provider-otpiq"
version = release = airflow_provider_otpiq.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False

myst_heading_anchors = 4  # a link may end in `#a-heading`, by GitHub's rule

autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "none"  # the docstrings say more than the annotations
python_use_unqualified_type_names = True

# Airflow's, Python's and the dependencies' own documentation is not linked: that would need a network.
nitpick_ignore_regex = [(r"py:.*", r"(airflow\.|datetime\.|pydantic\.|Airflow).*")]
nitpick_ignore = [("py:func", "phone_numbers.normalize")]  # until that docstring names no private module
