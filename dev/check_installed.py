"""Check an installation without extras. `make dist` runs this file with the Python of the installation."""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import airflow_provider_otpiq
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

_NEED_MORE = (
    "airflow_provider_otpiq.sandbox.",  # the extra sandbox, or pytest
    "airflow_provider_otpiq.operators._lineage",  # Airflow's OpenLineage provider, which alone imports it
)


def main() -> None:
    """Import all modules, and run a task without its extra; exit with a message if a check fails."""
    if not Path(airflow_provider_otpiq.__file__).is_relative_to(sys.prefix):
        sys.exit(f"{airflow_provider_otpiq.__file__} was imported, not the installed package")
    for module in walk_packages(airflow_provider_otpiq.__path__, "airflow_provider_otpiq."):
        if not module.name.startswith(_NEED_MORE):
            import_module(module.name)
    if find_spec("duckdb"):
        sys.exit("DuckDB is installed; only the extra audience must install it")
    error = _prepare_an_audience()
    if "pip install 'airflow-provider-otpiq[audience]'" not in error:
        sys.exit(f"PrepareAudienceOperator without DuckDB does not name the extra to install: {error}")


def _prepare_an_audience() -> str:
    context = cast("Context", {"ti": SimpleNamespace(map_index=-1)})
    with tempfile.TemporaryDirectory() as folder:
        people = Path(folder) / "people.csv"
        people.write_text("phone\n9647701234567\n")
        output = Path(folder) / "audience"
        prepare = PrepareAudienceOperator(task_id="prepare", source=str(people), phone_number="phone", output=output)
        try:
            prepare.execute(context)
        except OtpiqConfigurationError as error:
            return str(error)
    return "it prepared the audience"


if __name__ == "__main__":
    main()
