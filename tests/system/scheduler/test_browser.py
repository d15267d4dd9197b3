"""The connection form, its Test button, the trigger form and links, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.client import generate
from tests.system.observing import DASHBOARD, run_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs it")
expect = playwright.expect

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
# Chromium runs as root, and contacts no servers of its vendor.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# `OTPIQ_TEST_SCREENSHOTS=docs/screenshots make test-browser` takes the documentation's pictures.
SCREENSHOTS = os.environ.get("OTPIQ_TEST_SCREENSHOTS")


@pytest.fixture(scope="module")
def page(airflow: RunningAirflow) -> Iterator[Page]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 900, "height": 1000}, base_url=airflow.url)
        expect.set_options(timeout=30_000)
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def photograph(shown: Page | Locator, name: str) -> None:
    if SCREENSHOTS:
        shown.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", animations="disabled")


def fill_in_a_connection(
    page: Page, connection_id: str, sandbox: Sandbox, api_key: str, allowed_recipients: str = ""
) -> None:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill(connection_id)
    form.get_by_role("combobox").first.click()
    page.keyboard.type("OTPIQ")
    page.keyboard.press("Enter")
    expect(form.get_by_text("API key", exact=True)).to_be_visible()
    host, _, port = sandbox.url.removeprefix("http://").removesuffix("/api").rpartition(":")
    form.locator("input[name=host]").fill(f"{host}/api")
    form.locator("input[name=password]").fill(api_key)
    form.locator("input[name=port]").fill(port)
    photograph(form, connection_id)
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    expect(form.get_by_text("Max HTTP retries")).to_be_visible()
    form.locator("input[name=element_allowed_recipients]").fill(allowed_recipients)
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()


def press_test(page: Page, connection_id: str) -> None:
    page.goto("/connections")
    row = page.get_by_role("row").filter(has_text=connection_id)
    row.get_by_role("button", name="Test Connection").click()


def test_the_connection_form_is_filled_in_saved_and_tested(page: Page, sandbox: Sandbox) -> None:
    """Airflow 3.3 has the Test button in the list, for a saved connection."""
    fill_in_a_connection(page, "otpiq_form", sandbox, sandbox.api_key)
    press_test(page, "otpiq_form")
    expect(page.get_by_text("Connected to OTPIQ project 'Sandbox project'")).to_be_visible()
    assert [(request["method"], request["status"]) for request in sandbox.requests] == [("GET", 200)]


def test_a_wrong_key_shows_what_to_check(page: Page, sandbox: Sandbox) -> None:
    fill_in_a_connection(page, "otpiq_wrong", sandbox, "sk_live_wrong_key")
    press_test(page, "otpiq_wrong")
    expect(page.get_by_text("Check the API key in the connection's password")).to_be_visible()
    assert "sk_live_wrong_key" not in page.content()


def test_an_invalid_guard_rail_of_the_form_is_shown(page: Page, sandbox: Sandbox) -> None:
    fill_in_a_connection(page, "otpiq_guarded", sandbox, sandbox.api_key, allowed_recipients="the team")
    press_test(page, "otpiq_guarded")
    expect(page.get_by_text("allowed_recipients: has an entry that is neither a phone number")).to_be_visible()


def test_a_person_approves_a_campaign_and_sees_its_messages(
    airflow: RunningAirflow, page: Page, sandbox: Sandbox
) -> None:
    run = airflow.trigger("example_otpiq_lifecycle")
    airflow.wait_until_noticed(run, "approve", "awaiting_input")
    page.goto(f"/dags/example_otpiq_lifecycle/runs/{run_id_of(run)}/tasks/approve/required_actions")
    expect(page.get_by_text("to 11 people for about 132 IQD")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    assert airflow.finished(run) == "success"
    sandbox.move_clock(days=2)
    generate(sandbox, startDate=sandbox.campaigns[0]["createdAt"]).raise_for_status()
    page.set_viewport_size({"width": 1100, "height": 800})
    page.goto(sandbox.url.removesuffix("api"))
    campaigns = page.get_by_role("table").first.get_by_role("row")
    expect(campaigns.filter(has_text="Summer offer of")).to_have_count(2)
    expect(page.get_by_text("9647•••").first).to_be_visible()
    assert "9647700000101" not in page.content()
    expect(page.get_by_role("link", name="delivery-report-")).to_be_visible()
    photograph(page, "sandbox")


def test_the_manual_example_is_triggered_from_its_form(airflow: RunningAirflow, page: Page, sandbox: Sandbox) -> None:
    airflow.trigger("example_otpiq_manual")  # unpauses it, and waits until Airflow knows it
    page.set_viewport_size({"width": 1100, "height": 1300})
    page.goto("/dags/example_otpiq_manual")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=element_name]").fill("From the browser")
    expect(form.locator("input[name=element_template_name]")).to_have_value("summer_promo")
    expect(form.locator("input[name=element_template_language]")).to_have_value("ar")
    expect(form.locator("input[name=element_phone_number]")).to_have_value("+964 770 123 4567")
    expect(form.get_by_role("button", name="Ids instead of names")).to_be_visible()
    expect(form.get_by_text("nobody gets a message")).to_be_visible()
    expect(form.get_by_text("Leave it blank for a draft")).to_be_visible()
    photograph(form, "trigger")
    form.get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url("**/dags/example_otpiq_manual/runs/*")
    run_id = page.url.rstrip("/").rpartition("/")[2]
    assert airflow.finished(f"/dags/example_otpiq_manual/dagRuns/{run_id}") == "success"
    (campaign,) = [campaign for campaign in sandbox.campaigns if campaign["name"] == "From the browser"]
    assert (campaign["status"], campaign["template"]) == ("draft", "665f1c2ab3d4e5f601234567")
    page.goto(f"/dags/example_otpiq_manual/runs/{run_id}/tasks/create/xcom")
    expect(page.get_by_text(campaign["_id"]).first).to_be_visible()


def test_a_task_links_to_its_campaign_if_the_connection_has_a_dashboard_url(
    airflow: RunningAirflow, page: Page, sandbox: Sandbox
) -> None:
    page.set_viewport_size({"width": 1100, "height": 440})
    for connection, links in (("otpiq_default", 0), ("otpiq_dashboard", 1)):
        run = airflow.trigger("create", otpiq_conn_id=connection)
        assert airflow.finished(run) == "success"
        page.goto(f"/dags/create/runs/{run.rsplit('/', maxsplit=1)[-1]}/tasks/create/details")
        expect(page.get_by_text("Extra Links")).to_be_visible()  # Airflow's heading, with or without a link
        expect(page.get_by_role("cell", name="CreateCampaignOperator")).to_be_visible()
        expect(page.get_by_text("OTPIQ dashboard")).to_have_count(links)
    link = page.get_by_role("link", name="OTPIQ dashboard")
    expect(link).to_have_attribute("href", DASHBOARD.format(campaign_id=airflow.xcom(run, "create")))
    photograph(page, "dashboard_link")


def test_a_report_shows_its_counts_and_its_link(
    airflow: RunningAirflow, page: Page, sandbox: Sandbox, tmp_path: Path
) -> None:
    run = airflow.trigger("reported", folder=str(tmp_path / "audience"))
    assert airflow.finished(run) == "success"
    task = f"/dags/reported/runs/{run.rsplit('/', maxsplit=1)[-1]}/tasks/report"
    page.set_viewport_size({"width": 1100, "height": 800})
    page.goto(f"{task}/details")
    link = page.get_by_role("link", name="OTPIQ dashboard")
    expect(link).to_have_attribute(
        "href", DASHBOARD.format(campaign_id=airflow.xcom(run, "create", "first_campaign_id"))
    )
    page.goto(f"{task}/xcom")
    expect(page.get_by_text("report.parquet").first).to_be_visible()
    expect(page.get_by_role("cell", name="report", exact=True)).to_be_visible()
    assert airflow.xcom(run, "report", "report")["unmatched"] == 3  # nothing was sent yet
    page.goto(sandbox.url.removesuffix("api"))
    expect(page.get_by_role("heading", name="Reports")).to_be_visible()
    expect(page.get_by_role("link", name="delivery-report-")).to_have_count(1)
