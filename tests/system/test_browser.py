"""What a person sees: the connection form, its Test button, and the trigger form, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import EXAMPLE_DAGS
from dev.running_airflow import RunningAirflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs it")
expect = playwright.expect

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
# Root's chromium needs no sandbox; the rest keeps it from looking for its vendor's servers.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Where to keep pictures to look at, such as the README's: OTPIQ_TEST_SCREENSHOTS=dev/screenshots make test-browser
SCREENSHOTS = os.environ.get("OTPIQ_TEST_SCREENSHOTS")


@pytest.fixture(scope="module")
def ui_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, ui_sandbox: Sandbox) -> Iterator[RunningAirflow]:
    home = tmp_path_factory.mktemp("browser")
    airflow = RunningAirflow(home, EXAMPLE_DAGS)
    airflow.connect("otpiq_default", host=ui_sandbox.url, password=ui_sandbox.api_key)  # for the DAG
    airflow.migrate()
    with (home / "standalone.log").open("wb") as output, airflow.started(output):
        airflow.wait_until_it_answers()
        yield airflow


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


def fill_in_a_connection(page: Page, connection_id: str, sandbox: Sandbox, api_key: str) -> None:
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
    expect(form.get_by_text("Repeats within a call")).to_be_visible()
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()


def press_test(page: Page, connection_id: str) -> None:
    page.goto("/connections")
    row = page.get_by_role("row").filter(has_text=connection_id)
    row.get_by_role("button", name="Test Connection").click()


def test_the_connection_form_is_filled_in_saved_and_tested(page: Page, ui_sandbox: Sandbox) -> None:
    """Airflow 3.3's form has no Test button of its own; it is in the list, for a saved connection."""
    ui_sandbox.reset()
    fill_in_a_connection(page, "otpiq_form", ui_sandbox, ui_sandbox.api_key)
    press_test(page, "otpiq_form")
    expect(page.get_by_text("Connected to OTPIQ project 'Sandbox project'")).to_be_visible()
    assert [(request["method"], request["status"]) for request in ui_sandbox.requests] == [("GET", 200)]


def test_a_wrong_key_is_told_in_a_persons_words(page: Page, ui_sandbox: Sandbox) -> None:
    fill_in_a_connection(page, "otpiq_wrong", ui_sandbox, "sk_live_wrong_key")
    press_test(page, "otpiq_wrong")
    expect(page.get_by_text("Check the API key in the connection's password")).to_be_visible()
    assert "sk_live_wrong_key" not in page.content()


def test_the_manual_example_is_triggered_from_its_form(
    airflow: RunningAirflow, page: Page, ui_sandbox: Sandbox
) -> None:
    airflow.trigger("example_otpiq_manual")  # unpauses it, and waits until Airflow knows it
    page.goto("/dags/example_otpiq_manual")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=element_name]").fill("From the browser")
    expect(form.get_by_text("Leave it blank for a draft")).to_be_visible()
    photograph(form, "trigger")
    form.get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url("**/dags/example_otpiq_manual/runs/*")
    run_id = page.url.rstrip("/").rpartition("/")[2]
    assert airflow.finished(f"/dags/example_otpiq_manual/dagRuns/{run_id}") == "success"
    (campaign,) = [each for each in ui_sandbox.campaigns if each["name"] == "From the browser"]
    assert campaign["status"] == "draft"
    page.goto(f"/dags/example_otpiq_manual/runs/{run_id}/tasks/create/xcom")
    expect(page.get_by_text(campaign["_id"]).first).to_be_visible()
