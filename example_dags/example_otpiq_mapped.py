"""
One campaign for each city, by dynamic task mapping, with at most two requests to OTPIQ at a time.

It runs unchanged against the sandbox, with the connection ``otpiq_default``. Create its pool first:
``airflow pools set otpiq 2 "Requests to OTPIQ"``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, CreateCampaignOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

CITIES = ("Baghdad", "Basra", "Erbil")


@dataclass(frozen=True)
class CityRecipients:
    """
    The recipients of a mapped task's city, read when the task executes.

    :param path: a CSV file.
    :param cities: the cities in the order of the mapped tasks.
    """

    path: str
    cities: tuple[str, ...]

    def __call__(self, ti: Any) -> Iterator[dict[str, Any]]:
        """Yield a recipient for each row of the city."""
        with Path(self.path).open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                if row["city"] == self.cities[ti.map_index]:
                    yield {"phoneNumber": row["phone"], "templateParameters": {"body": {"1": row["name"]}}}


with DAG(
    dag_id="example_otpiq_mapped",
    description="Schedule a WhatsApp campaign for each of several cities",
    schedule=None,
    default_args={"pool": "otpiq"},
    tags=["otpiq", "example"],
) as dag:
    create = CreateCampaignOperator.partial(
        task_id="create",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
        schedule_type="schedule",
        # Derived from the run, so that each retry sends the same time. The data interval of a manual run may have
        # ended up to a day ago, so 25 hours later is in the future.
        scheduled_for="{{ (dag_run.data_interval_end or dag_run.run_after) + macros.timedelta(hours=25) }}",
    ).expand(name=[f"Summer offer for {city}" for city in CITIES])

    AttachRecipientsOperator.partial(
        task_id="attach",
        recipients=CityRecipients(str(Path(__file__).parent / "audience.csv"), CITIES),
    ).expand(campaign_id=create.output)
