"""What a task shows besides its XComs: warnings, events of its assets, lineage, and the link to OTPIQ's dashboard."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.openlineage.utils.utils import translate_airflow_asset
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_otpiq.exceptions import OtpiqRequestError, OtpiqValidationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators import broadcast, campaign, report
from airflow_provider_otpiq.operators._lineage import campaign_dataset, file_dataset
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import TEMPLATE, number
from tests.conftest import AIRFLOW_VERSION, needs_task_state
from tests.fakes import CREATE, StateStore, TaskInstance
from tests.operators.broadcasts import Run, later
from tests.operators.reports import WINDOW

CAMPAIGNS = Asset("otpiq-test://campaigns")
PEOPLE = [{"phoneNumber": "9647712345678", "templateParameters": {"body": {"1": "Zaynab"}}}]
NAMESPACE = "otpiq://Sandbox%20project"
DASHBOARD = "https://dashboard.example.com/campaigns/{campaign_id}?tab=all"


@pytest.fixture
def create_campaign(context: dict[str, Any]) -> Run:
    return Run(CreateCampaignOperator, context, CREATE)


@pytest.fixture
def prepare(context: dict[str, Any], tmp_path: Path) -> Run:
    """Prepare an audience from two files of a person each."""
    (tmp_path / "in").mkdir()
    for name, phone in (("a", "07701234567"), ("b", "07701234568")):
        (tmp_path / "in" / f"{name}.csv").write_text(f"phone\n{phone}\n")
    return Run(PrepareAudienceOperator, context, {"phone_number": "phone", "output": tmp_path / "out"})


# Warnings: a false one hides those that matter


@pytest.fixture
def _no_warning(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    printed = [line for line in "".join(capfd.readouterr()).splitlines() if "warning" in line.lower()]  # by structlog
    logged = [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    assert (printed, logged) == ([], [])


@pytest.fixture
def run(context: dict[str, Any]) -> Callable[..., Any]:
    """Run an operator, in a task instance that keeps its state."""

    def run(operator: Any, **fields: Any) -> Any:
        store = {"task_state_store": StateStore()} if AIRFLOW_VERSION.release >= (3, 3) else {}
        return Run(operator, context | {"ti": TaskInstance()} | store, fields)()

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("_no_warning")
def test_a_broadcast_without_problems_logs_no_warning(run: Callable[..., Any], tmp_path: Path) -> None:
    people = "".join(f"C-{at},{number(at)},Zaynab\n" for at in range(1001))
    (tmp_path / "people.csv").write_text(f"id,phone,name\n{people}")
    (tmp_path / "opt_outs.csv").write_text(f"phone\n{number(5)}\n")
    audience = run(
        PrepareAudienceOperator,
        source=str(tmp_path / "people.csv"),
        suppress=str(tmp_path / "opt_outs.csv"),
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        reference="id",
        output=str(tmp_path / "audience"),
    )
    ledger = run(CreateBroadcastOperator, audience=audience, name="Summer", **TEMPLATE)
    run(StartBroadcastOperator, broadcast=ledger)
    with later(hours=2):
        assert run(DeliverySensor, broadcast=ledger)
        written = run(DeliveryReportOperator, broadcast=ledger, destination=str(tmp_path / "report.csv"))
    assert len(Path(written).read_text().splitlines()) == 1 + 1000


@pytest.mark.usefixtures("_no_warning")
def test_a_campaign_without_problems_logs_no_warning(run: Callable[..., Any], sandbox: Sandbox) -> None:
    campaign_id = run(CreateCampaignOperator, **CREATE)
    run(AttachRecipientsOperator, campaign_id=campaign_id, recipients=PEOPLE)
    run(UpdateCampaignOperator, campaign_id=campaign_id, name="Winter")
    run(SendSampleOperator, campaign_id=campaign_id, recipients=PEOPLE)
    run(StartCampaignOperator, campaign_id=campaign_id)
    assert sandbox.campaigns[0]["status"] in ("running", "completed")


# The events of assets


@pytest.fixture
def context(context: dict[str, Any]) -> dict[str, Any]:
    try:
        from airflow.sdk.execution_time.context import OutletEventAccessors
    except ImportError:  # Airflow 2
        from airflow.utils.context import OutletEventAccessors
    return context | {"outlet_events": OutletEventAccessors()}


def extra(context: dict[str, Any]) -> Any:
    return context["outlet_events"][CAMPAIGNS].extra


def test_the_event_of_a_campaigns_operator_has_its_id(context: dict[str, Any]) -> None:
    def published(operator: Any, **fields: Any) -> str:
        events = type(context["outlet_events"])()
        campaign_id = Run(operator, context | {"outlet_events": events}, fields)(outlets=[CAMPAIGNS])
        assert events[CAMPAIGNS].extra == {"campaign_id": campaign_id}
        return str(campaign_id)

    campaign_id = published(CreateCampaignOperator, **CREATE)
    assert published(UpdateCampaignOperator, campaign_id=campaign_id, name="Autumn") == campaign_id
    assert published(AttachRecipientsOperator, campaign_id=campaign_id, recipients=PEOPLE) == campaign_id
    assert published(SendSampleOperator, campaign_id=campaign_id, recipients=PEOPLE) != campaign_id
    assert published(StartCampaignOperator, campaign_id=campaign_id) == campaign_id


def test_the_event_of_an_audience_has_its_counts_and_its_location(
    prepare: Run, context: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in" / "a.csv").write_text("phone\n9647712345678\n07712345678\nnobody\n")
    location = prepare(source=str(tmp_path / "in" / "a.csv"), max_rejected=1, outlets=[CAMPAIGNS])
    counts = {"rows": 3, "recipients": 1, "duplicates": 1, "suppressed": 0, "rejected": 1, "parts": 1}
    assert Path(location).is_absolute()
    assert extra(context) == {**counts, "audience": location}


def test_the_events_of_a_broadcast_and_its_report_have_their_counts_and_their_location(
    create: Run, start: Run, report: Run, context: dict[str, Any]
) -> None:
    ledger = create(outlets=[CAMPAIGNS])
    assert extra(context) == {"campaigns": 3, "recipients": 9, "estimated_cost": 108, "ledger": ledger}
    context["outlet_events"][CAMPAIGNS].extra = {}
    start(outlets=[CAMPAIGNS])
    counts = {"scheduled": 3, "already_scheduled": 0, "recipients": 9, "estimated_cost": 108}
    assert extra(context) == {
        **counts,
        "scheduled_for": (time := extra(context)["scheduled_for"]),
        "waves": [{"scheduled_for": time, "recipients": 9}],
        "ledger": ledger,
    }
    context["outlet_events"][CAMPAIGNS].extra = {}
    destination = report(broadcast=ledger, outlets=[CAMPAIGNS])
    assert extra(context) == {**context["ti"].pushed["report"], "report": destination}
    assert extra(context)["unmatched"] == 9


def test_what_a_user_adds_to_an_event_is_kept(create_campaign: Run, context: dict[str, Any]) -> None:
    context["outlet_events"][CAMPAIGNS].extra.update(team="growth", campaign_id="ours")
    create_campaign(outlets=[CAMPAIGNS])
    assert extra(context) == {"team": "growth", "campaign_id": "ours"}


def test_an_alias_and_other_outlets_have_no_event(create_campaign: Run, context: dict[str, Any]) -> None:
    assert create_campaign(outlets=[AssetAlias("campaigns"), {"of": "a plugin"}])
    assert len(context["outlet_events"]) == 0


def test_a_failed_task_has_no_event(context: dict[str, Any]) -> None:
    Run(UpdateCampaignOperator, context, {"campaign_id": "no id"}).fail(OtpiqValidationError, outlets=[CAMPAIGNS])
    assert extra(context) == {}


# OpenLineage


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
        ("sftp://user:secret@host:22/people.csv", ("sftp://host:22", "people.csv")),
    ],
)
def test_a_file_is_named_without_its_airflow_connection_and_a_glob_by_its_folder(
    location: str, name: tuple[str, str]
) -> None:
    assert file_dataset(location) == name


def test_a_campaign_is_named_by_its_project() -> None:
    assert campaign_dataset("Sandbox project", "665f") == (NAMESPACE, "campaigns/665f")
    assert campaign_dataset("متجر/a@b", "665f")[0] == "otpiq://%D9%85%D8%AA%D8%AC%D8%B1%2Fa%40b"
    assert campaign_dataset(None, "665f") == ("otpiq://", "campaigns/665f")


@pytest.mark.parametrize(
    ("uri", "dataset"),
    [
        (f"{NAMESPACE}/campaigns/665f", campaign_dataset("Sandbox project", "665f")),
        ("otpiq://shop/campaigns", ("otpiq://shop", "campaigns")),
        ("otpiq://shop", ("otpiq://shop", "/")),
    ],
)
def test_an_asset_is_a_dataset_named_like_a_campaign(uri: str, dataset: tuple[str, str]) -> None:
    translated = translate_airflow_asset(Asset(uri), None)
    assert translated
    assert (translated.namespace, translated.name) == dataset


def lineage(run: Run) -> tuple[list[tuple[str, str]], dict[tuple[str, str], int | None]]:
    """Return the inputs of a task, and its outputs with their rows."""
    facets = run.task.get_openlineage_facets_on_complete(None)
    rows = {}
    for each in facets.outputs:
        statistics = each.outputFacets.get("outputStatistics")
        rows[each.namespace, each.name] = statistics and statistics.rowCount
    return [(each.namespace, each.name) for each in facets.inputs], rows


def test_an_audience_has_its_files_and_its_suppression_list_as_inputs_but_no_callable(
    prepare: Run, tmp_path: Path
) -> None:
    files = [str(tmp_path / "in" / name) for name in ("a.csv", "b.csv")]
    prepare(source=files)
    assert lineage(prepare) == ([("file", file) for file in files], {("file", f"{tmp_path}/out"): 2})
    prepare(source=lambda: [{"phone": "07801234567"}], suppress=f"{tmp_path}/in/*.csv")
    assert lineage(prepare) == ([("file", f"{tmp_path}/in")], {("file", f"{tmp_path}/out"): 1})


def test_a_broadcasts_campaigns_come_from_its_audience_and_a_report_from_the_campaigns(
    create: Run, start: Run, report: Run, audience: str, sandbox: Sandbox
) -> None:
    ledger = create()
    start(shard=1, shards=3)
    inputs = [("file", str(Path(audience).parent))]
    campaigns = [(NAMESPACE, f"campaigns/{campaign['_id']}") for campaign in sandbox.campaigns]
    assert lineage(create) == (inputs, dict.fromkeys(campaigns, 3))
    assert lineage(start) == (inputs, {campaigns[1]: 3})

    start()
    report.make(broadcast=ledger)
    assert lineage(report) == ([], {})
    with later(hours=1):
        destination = ("file", report(broadcast=ledger))
    assert lineage(report) == (campaigns, {destination: 9})
    report(**WINDOW)
    assert lineage(report) == ([], {destination: 0})


def test_a_failed_task_has_no_lineage(create: Run, prepare: Run, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=400)
    create.fail(OtpiqRequestError)
    assert lineage(create) == ([], {})
    prepare.make(source="x")
    assert lineage(prepare) == ([], {})


# The link to a campaign in OTPIQ's dashboard


@pytest.fixture
def with_dashboard(sandbox_hook: OtpiqHook, connect_sandbox: Callable[..., OtpiqHook]) -> None:
    connect_sandbox(dashboard_url=DASHBOARD)


def url_of(campaign_id: str) -> str:
    return f"https://dashboard.example.com/campaigns/{campaign_id}?tab=all"


@pytest.mark.usefixtures("with_dashboard")
def test_a_task_of_a_campaign_pushes_its_url_and_has_a_link(create_campaign: Run) -> None:
    operator = create_campaign.make()
    (link,) = operator.operator_extra_links
    context = create_campaign.context
    assert link.get_link(operator, ti_key=context["ti"]) == ""
    campaign_id = operator.execute(context)
    assert link.get_link(operator, ti_key=context["ti"]) == url_of(campaign_id)
    assert create_campaign.pushed["dashboard_url"] == url_of(campaign_id)


@pytest.mark.usefixtures("with_dashboard")
def test_a_broadcast_pushes_its_first_campaigns_url(create: Run, start: Run, report: Run, sandbox: Sandbox) -> None:
    create(shard=3, shards=4)
    assert "dashboard_url" not in create.pushed  # this shard has no campaigns
    ledger = create()
    url = url_of(sandbox.campaigns[0]["_id"])
    assert create.pushed.pop("dashboard_url") == url
    start()
    assert create.pushed.pop("dashboard_url") == url
    report(broadcast=ledger)
    assert create.pushed.pop("dashboard_url") == url
    report(**WINDOW)  # without a campaign
    assert "dashboard_url" not in create.pushed


def test_without_the_extra_nothing_is_pushed(create: Run, start: Run) -> None:
    create()
    start()
    assert "dashboard_url" not in create.pushed


@needs_task_state
def test_a_later_try_without_work_succeeds_with_an_invalid_connection(
    create_campaign: Run, context: dict[str, Any], connect: Callable[..., OtpiqHook]
) -> None:
    context["task_state_store"] = StateStore()
    campaign_id = create_campaign()
    connect(extra={"dashboard_url": "wrong"})
    assert create_campaign() == campaign_id
    assert "dashboard_url" not in create_campaign.pushed


def test_every_operator_of_a_campaign_and_of_a_broadcast_has_the_link() -> None:
    operators = [getattr(module, name) for module in (broadcast, campaign, report) for name in module.__all__]
    assert len(operators) == 9
    assert {tuple(link.name for link in each.operator_extra_links) for each in operators} == {("OTPIQ dashboard",)}
