"""The page on results shows the columns and counts of a real report, and queries that work."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pendulum
import pytest
import time_machine
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import TEMPLATE
from tests.docs.pages import BLOCKS
from tests.docs.test_facts import section
from tests.fakes import TaskInstance, execute

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

pytestmark = pytest.mark.slow

PAGE = "howto/results.md"
NOTED = {block.note: block.code for block in BLOCKS if block.page == f"docs/{PAGE}"}
CUSTOMERS = NOTED["customers.csv"]


@pytest.fixture
def context(sandbox_hook: OtpiqHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context and the folder after a report of a broadcast to the page's customers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    context: dict[str, Any] = {"ti": TaskInstance()}
    with DAG("dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
        context["dag"] = dag
        prepare = PrepareAudienceOperator(
            task_id="prepare",
            source="customers.csv",
            phone_number="phone",
            template_parameters={"body": {"1": "first_name", "2": {"value": "10%"}}},
            reference="customer_id",
            output="audience",
            max_rejected=1,
        )
        create = CreateBroadcastOperator(
            task_id="create", audience=execute(prepare, context), name="Summer offer", **TEMPLATE
        )
        start = StartBroadcastOperator(task_id="start", broadcast=execute(create, context))
        report = DeliveryReportOperator(
            task_id="report", broadcast=execute(start, context), destination="delivery.parquet"
        )
        with time_machine.travel(timedelta(minutes=12)):
            execute(report, context)
    return context


def rows(heading: str) -> list[list[str]]:
    """Read the cells of the table in a section, the head first."""
    head, _, *found = re.findall(r"^\| (.+) \|$", section(PAGE, heading), re.MULTILINE)
    return [line.split(" | ") for line in (head, *found)]


def query(sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the columns and the rows of a query."""
    with duckdb.connect() as database:
        found = database.execute(sql)
        return [name for name, *_ in found.description or ()], found.fetchall()


@pytest.mark.usefixtures("context")
def test_the_table_lists_the_columns_of_a_report() -> None:
    _, *documented = rows("The file")
    _, columns = query("DESCRIBE FROM 'delivery.parquet'")
    assert [(name.strip("`"), kind) for name, kind, _ in documented] == [(name, kind) for name, kind, *_ in columns]


def test_the_table_lists_the_counts_of_a_report(context: dict[str, Any]) -> None:
    _, *documented = rows("XCom")
    assert re.findall(r"`(\w+)`", " ".join(keys for keys, _ in documented)) == list(context["ti"].pushed["report"])


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Join it to your customers", "by_city.sql"),
        ("Who did not get it, and why", "not_reached.sql"),
        ("Only the failed again", "reasons.sql"),
    ],
)
def test_a_query_returns_what_the_page_shows(heading: str, name: str) -> None:
    head, *documented = rows(heading)
    columns, found = query(NOTED[name])
    assert columns == head
    assert [[str(value) for value in row] for row in found] == documented


def test_of_five_customers_one_is_rejected_and_one_is_a_duplicate(context: dict[str, Any]) -> None:
    assert len(list(csv.DictReader(io.StringIO(CUSTOMERS)))) == 5
    counts = context["ti"].pushed["audience"]
    assert (counts["recipients"], counts["rejected"], counts["duplicates"]) == (3, 1, 1)


def test_the_defaults_of_the_sensor_are_as_documented() -> None:
    text = section(PAGE, "How the sensor waits")
    with DAG("dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        sensor = DeliverySensor(task_id="wait", broadcast="ledger")
    assert f"{sensor.min_final} by default" in text
    assert f"is {sensor.poke_interval / 60:g} minutes by default" in text
    assert f"is `{sensor.mode}` by default" in text
    assert f"{sensor.timeout / sensor.poke_interval:g} reports" in text
