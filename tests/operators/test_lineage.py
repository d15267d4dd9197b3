"""What OpenLineage is told, and under which names."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from airflow.providers.common.compat.openlineage.utils.utils import translate_airflow_asset
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_otpiq.exceptions import OtpiqRequestError
from airflow_provider_otpiq.operators._lineage import campaign_name, file_name
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.broadcast.people import TEMPLATE
from tests.fakes import execute
from tests.operators.reports import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.operators.broadcasts import Run

NAMESPACE = "otpiq://Sandbox%20project"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/data/people.csv", ("file", "/data/people.csv")),
        ("/data/", ("file", "/data")),
        ("file:///data/people.csv", ("file", "/data/people.csv")),
        ("people.csv", ("file", str(Path("people.csv").absolute()))),
        ("/data/2026-*/people-?.csv", ("file", "/data")),
        ("/*.csv", ("file", "/")),
        ("s3://bucket/data/people.csv", ("s3://bucket", "data/people.csv")),
        ("s3://aws_default@bucket/data/people.csv", ("s3://bucket", "data/people.csv")),
        ("s3://aws_default@bucket/data/[ab]*.csv", ("s3://bucket", "data")),
        ("s3://bucket/*.csv", ("s3://bucket", "/")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("s3://bucket/a#b@c://d", ("s3://bucket", "a#b@c://d")),
        ("gs://google_cloud@bucket/people.parquet", ("gs://bucket", "people.parquet")),
        ("sftp://user:secret@host:22/people.csv", ("sftp://host:22", "people.csv")),
    ],
)
def test_a_file_is_named_without_its_airflow_connection_and_a_glob_by_its_folder(
    location: str, name: tuple[str, str]
) -> None:
    assert file_name(location) == name


def test_a_campaign_is_named_by_its_project() -> None:
    assert campaign_name("Sandbox project", "665f") == (NAMESPACE, "campaigns/665f")
    assert campaign_name("متجر/a@b", "665f")[0] == "otpiq://%D9%85%D8%AA%D8%AC%D8%B1%2Fa%40b"
    assert campaign_name(None, "665f") == ("otpiq://", "campaigns/665f")


def told(operator: Any) -> tuple[list[tuple[str, str]], dict[tuple[str, str], int | None]]:
    """Give the inputs, and the outputs with their rows."""
    lineage = operator.get_openlineage_facets_on_complete(None)
    rows = {}
    for each in lineage.outputs:
        statistics = each.outputFacets.get("outputStatistics")
        rows[each.namespace, each.name] = statistics and statistics.rowCount
    return [(each.namespace, each.name) for each in lineage.inputs], rows


@pytest.mark.parametrize(
    ("uri", "dataset"),
    [
        ("otpiq://Sandbox%20project/campaigns/665f", campaign_name("Sandbox project", "665f")),
        ("otpiq://shop/campaigns", ("otpiq://shop", "campaigns")),
        ("otpiq://shop", ("otpiq://shop", "/")),
    ],
)
def test_an_asset_is_a_dataset_named_like_a_campaign(uri: str, dataset: tuple[str, str]) -> None:
    translated = translate_airflow_asset(Asset(uri), None)
    assert translated
    assert (translated.namespace, translated.name) == dataset


@pytest.fixture
def prepare(dag: DAG, context: dict[str, Any], tmp_path: Path) -> Callable[..., PrepareAudienceOperator]:
    """Prepare an audience of two people in two files."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.csv").write_text(f"phone\n0770123456{ord(name) % 10}\n")

    def run(source: Any, **fields: Any) -> PrepareAudienceOperator:
        fields = {"phone_number": "phone", "output": tmp_path / "out", "dag": dag, **fields}
        operator = PrepareAudienceOperator(task_id="prepare", source=source, **fields)
        execute(operator, context)
        return operator

    return run


def test_an_audience_comes_from_its_files(prepare: Callable[..., PrepareAudienceOperator], tmp_path: Path) -> None:
    files = [str(tmp_path / "in" / "a.csv"), str(tmp_path / "in" / "b.csv")]
    assert told(prepare(files)) == ([("file", file) for file in files], {("file", f"{tmp_path}/out"): 2})


def test_a_suppression_list_is_an_input_too_and_a_callable_is_none(
    prepare: Callable[..., PrepareAudienceOperator], tmp_path: Path
) -> None:
    operator = prepare(lambda: [{"phone": "07801234567"}], suppress=f"{tmp_path}/in/*.csv")
    assert told(operator) == ([("file", f"{tmp_path}/in")], {("file", f"{tmp_path}/out"): 1})


def test_a_broadcasts_campaigns_come_from_its_audience(
    dag: DAG, context: dict[str, Any], audience: str, sandbox: Sandbox
) -> None:
    create = CreateBroadcastOperator(task_id="create", dag=dag, audience=audience, name="Offer", **TEMPLATE)
    start = StartBroadcastOperator(task_id="start", dag=dag, broadcast=execute(create, context), shard=1, shards=3)
    execute(start, context)
    inputs = [("file", str(Path(audience).parent))]
    campaigns = {(NAMESPACE, f"campaigns/{campaign['_id']}"): 3 for campaign in sandbox.campaigns}
    assert told(create) == (inputs, campaigns)
    (scheduled,) = [each["_id"] for each in sandbox.campaigns if each["status"] == "scheduled"]
    assert told(start) == (inputs, {(NAMESPACE, f"campaigns/{scheduled}"): 3})


def test_a_report_comes_from_a_broadcasts_campaigns(
    dag: DAG, context: dict[str, Any], create: Run, start: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    create()
    destination = str(tmp_path / "report.csv")
    report = DeliveryReportOperator(task_id="report", dag=dag, destination=destination, broadcast=start())
    assert told(report) == ([], {})
    with time_machine.travel(timedelta(hours=1)):
        execute(report, context)
    campaigns = [(NAMESPACE, f"campaigns/{campaign['_id']}") for campaign in sandbox.campaigns]
    assert told(report) == (campaigns, {("file", destination): 9})
    everybody = DeliveryReportOperator(task_id="everybody", dag=dag, destination=destination, **WINDOW)
    execute(everybody, context)
    assert told(everybody) == ([], {("file", destination): 0})


def test_a_task_that_fails_tells_nothing(dag: DAG, context: dict[str, Any], audience: str, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=400)
    create = CreateBroadcastOperator(task_id="create", dag=dag, audience=audience, name="Offer", **TEMPLATE)
    with pytest.raises(OtpiqRequestError):
        execute(create, context)
    assert told(create) == ([], {})
    prepare = PrepareAudienceOperator(task_id="prepare", dag=dag, source="x", phone_number="y", output="z")
    assert told(prepare) == ([], {})
