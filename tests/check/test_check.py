"""``otpiq-check`` finds each difference between OTPIQ and what is assumed, and survives everything else."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
import pytest

from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.check.guard import TAKE_BACK
from airflow_provider_otpiq.check.results import CHECKS
from tests.check.conftest import OWN_NUMBER
from tests.conftest import AIRFLOW_VERSION
from tests.wire import refusing_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.check.conftest import Check, Run

CHECKABLE = [name for name, assumption in ASSUMPTIONS.items() if assumption.checkable]
NEEDS_NUMBER = {"attach-counts-at-once", "attach-shape", "attach-all-present", "plus-refused", "line-break-accepted"}
SENDING = ("/start", "/sample")


def test_each_assumption_that_can_be_checked_has_a_check() -> None:
    assert set(CHECKS) == set(CHECKABLE)


def test_everything_holds_in_the_sandbox(create: Check) -> None:
    run = create()
    assert set(run.rows("holds")) == set(CHECKABLE), run.out
    assert (run.status, run.err) == (0, "")


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:]+| *\d+\.\d{3}", "…", text)


def require_no_message(sandbox: Sandbox, run: Run) -> None:
    """Check all requests after those of the fixture, and what they left."""
    sent = [request for request in sandbox.requests if request["path"].startswith("/api/")][4:]
    assert not [request for request in sent if request["path"].endswith(SENDING)]
    year = pendulum.now("UTC").add(days=364).to_iso8601_string()
    times = [request["body"].get("scheduledFor") for request in sent if isinstance(request["body"], dict)]
    assert all(not time or time > year or time < "2026" for time in times), times
    drafts = [campaign for campaign in sandbox.campaigns if campaign["name"].startswith("otpiq-check")]
    for draft in drafts:
        assert sandbox.recipients(draft["_id"]) in ([], [OWN_NUMBER])
        assert draft["status"] == "draft" or (draft["totalRecipients"] == 0 and "sends nothing" in run.err)
    assert len(drafts) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("assumption", CHECKABLE)
def test_exactly_the_row_of_a_deviation_differs(
    create: Check, sandbox: Sandbox, snapshot: SnapshotAssertion, assumption: str
) -> None:
    sandbox.deviations = {assumption}
    run = create()
    assert set(run.rows("differs")) == {assumption}, run.out
    assert {
        name: without_times(seen) for name, seen in {**run.rows("differs"), **run.rows("unknown")}.items()
    } == snapshot
    assert run.status == 1
    wrong = ASSUMPTIONS[assumption]
    assert (
        f"\n\n{assumption} differs. Assumed: {wrong.text}\n"
        f"  Affected: {wrong.affects}\n"
        f"  What to do: {wrong.if_wrong}\n\nResults: "
    ) in run.out
    require_no_message(sandbox, run)


def test_without_create_it_only_reads(check: Check, sandbox: Sandbox) -> None:
    run = check()
    assert {request["method"] for request in sandbox.requests} == {"GET"}
    assert set(run.rows("holds")) == {"resource-values"}
    assert set(run.rows("unknown").values()) == {"needs --create"}
    assert run.status == 0


def test_it_shows_what_it_found(check: Check, snapshot: SnapshotAssertion) -> None:
    assert without_times(check().out) == snapshot


@pytest.mark.parametrize("status", [404, 200])
@pytest.mark.parametrize("call", ["info", "resources", "payload"])
def test_it_shows_why_it_found_nothing(
    check: Check, sandbox: Sandbox, snapshot: SnapshotAssertion, call: str, status: int
) -> None:
    sandbox.arm(call, times=7, status=status, body={"message": "No"})
    assert next(line for line in check().out.splitlines() if "unknown" in line) == snapshot


def test_without_a_phone_number_nobody_is_attached(check: Check, sandbox: Sandbox) -> None:
    run = check("--create")
    unknown = {name for name, seen in run.rows("unknown").items() if seen == "needs --phone-number"}
    assert unknown == NEEDS_NUMBER
    assert [campaign["totalRecipients"] for campaign in sandbox.campaigns] == [0]


def test_it_announces_the_draft_before_it_creates_it(create: Check) -> None:
    name = f"otpiq-check {pendulum.now('UTC').to_date_string()}"
    announced = f"Creating the draft '{name}', which OTPIQ documents no way to delete, and three reports."
    assert create().out.index(announced) < create().out.index("create-status")


def test_it_leaves_one_draft_with_the_own_number(create: Check, sandbox: Sandbox) -> None:
    run = create()
    require_no_message(sandbox, run)
    draft = sandbox.campaigns[-1]
    assert (draft["status"], draft["scheduledFor"]) == ("draft", None)
    assert sandbox.recipients(draft["_id"]) == [OWN_NUMBER]
    assert len(sandbox.reports) == 3
    _, last_day, _ = [request["body"] for request in sandbox.requests if request["path"].endswith("/generate")]
    start, end = (datetime.fromisoformat(last_day[name]) for name in ("startDate", "endDate"))
    assert end - start == timedelta(days=1)


def test_each_call_has_its_time(create: Check, sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    table = create().out.partition("seconds status request\n")[2].splitlines()
    calls = [line for line in table if "(" in line]
    assert len(calls) == len(sandbox.requests) - before
    assert any("PATCH /whatsapp/campaigns/{_id} (schedule)" in line for line in calls)


def test_a_schedule_with_a_lost_response_is_taken_back(
    create: Check, sandbox: Sandbox, sleep_calls: list[float]
) -> None:
    # Those before: four updates, and one of an unknown campaign.
    sandbox.arm("update", times=5, when="after")
    sandbox.arm("update", times=4, when="after", connection="drop")
    run = create()
    assert "unknown" in run.out
    require_no_message(sandbox, run)
    assert [campaign["status"] for campaign in sandbox.campaigns][-1] == "draft"


def interrupt_at(sandbox: Sandbox, run: Callable[[], Run], *conditions: Callable[[Any], object]) -> Run:
    """Press Ctrl-C once for each condition, when a request meets it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # an earlier test may have left another handler
    main_thread = threading.main_thread().ident
    assert main_thread

    def interrupt() -> None:
        for is_met in conditions:
            while not any(map(is_met, sandbox.requests)):
                time.sleep(0.01)
            signal.pthread_kill(main_thread, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        return run()
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()


def test_an_interrupt_takes_the_schedule_back(create: Check, sandbox: Sandbox) -> None:
    sandbox.arm("update", times=6, when="after")
    sandbox.arm("update", when="after", delay=60)
    run = interrupt_at(sandbox, create, is_schedule)
    name = f"otpiq-check {pendulum.now('UTC').to_date_string()}"
    assert run.status == 2
    assert run.err == f"otpiq-check: interrupted; the draft '{name}' may exist. Run the command again.\n"
    assert sandbox.campaigns[-1]["status"] == "draft"


def is_schedule(request: Any) -> bool:
    return isinstance(request["body"], dict) and request["body"].get("scheduleType") == "schedule"


def is_take_back(request: Any) -> bool:
    return bool(request["body"] == TAKE_BACK)


def test_a_second_interrupt_says_that_the_draft_may_be_scheduled(create: Check, sandbox: Sandbox) -> None:
    sandbox.arm("update", times=6, when="after")
    sandbox.arm("update", times=2, when="after", delay=60)
    run = interrupt_at(sandbox, create, is_schedule, is_take_back)
    assert run.status == 2
    assert "may still be scheduled" in run.err
    assert "interrupted; the draft " in run.err


def test_an_interrupt_before_the_draft_mentions_no_draft(check: Check, sandbox: Sandbox) -> None:
    sandbox.arm("info", delay=60)
    run = interrupt_at(sandbox, check, lambda request: request["path"].endswith("/info"))
    assert (run.status, run.err) == (2, "otpiq-check: interrupted. Run the command again.\n")


def test_a_campaign_that_stays_scheduled_is_reported(create: Check, sandbox: Sandbox) -> None:
    sandbox.deviations = {"back-to-draft"}
    run = create()
    name = f"otpiq-check {pendulum.now('UTC').to_date_string()}"
    assert run.err == (
        f"otpiq-check: the draft '{name}' may still be scheduled, or may have started. Nobody is attached to it, so it"
        " sends nothing. Delete it in OTPIQ's dashboard.\n"
    )
    assert sandbox.recipients(sandbox.campaigns[-1]["_id"]) == []


CALLS = ("info", "resources", "payload", "reports", "create", "update", "attach", "generate", "download")
HTML = "<html>Bad gateway</html>"
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "body": {"message": "Internal server error"}},
    "HTML": {"status": 502, "body": HTML, "headers": {"Content-Type": "text/html"}},
    "HTML with 200": {"status": 200, "body": HTML, "headers": {"Content-Type": "text/html"}},
    "HTML with 400": {"status": 400, "body": HTML, "headers": {"Content-Type": "text/html"}},
    "401": {"status": 401, "body": {"message": "Unauthorized, please use your project api key"}},
    "429": {"status": 429, "body": {"message": "Too many requests", "waitMinutes": 0}},
    "redirect": {"status": 302, "headers": {"Location": "https://example.com"}},
    "malformed JSON": {"status": 200, "body": '{"success": tr'},
    "no body": {"status": 200, "body": ""},
    "null": {"status": 200, "body": "null"},
    "a number": {"status": 200, "body": "5"},
    "a list": {"status": 200, "body": [[], 5, "x"]},
    "an empty object": {"status": 200, "body": {}},
    "odd data": {
        "status": 200,
        "body": {"success": 1, "data": [5], "_id": 5, "downloadUrl": "http://[", "recordCount": -1},
    },
    "odd fields": {
        "status": 200,
        "body": {
            "success": True,
            "projectName": 5,
            "data": {
                "_id": "665f1c2ab3d4e5f601234567",
                "scheduledFor": {"at": 5},
                "totalRecipients": "1",
                "status": [],
                "businesses": [{"whatsappAccounts": 5}],
                "fields": "none",
            },
            "_id": "x",
            "downloadUrl": "https://[::1]/x",
            "recordCount": 1,
        },
    },
    "odd errors": {"status": 400, "body": {"error": {"message": ["x"]}}},
    "a lost response": {"connection": "drop"},
    "half a response": {"connection": "cut"},
    "no end": {"connection": "endless"},
    "a timeout": {"delay": 30},
}


@pytest.fixture
def impatient(create: Check, check: Check, connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> Check:
    """Run the command with an Airflow connection whose timeout is short."""
    connect(host=sandbox.url, password=sandbox.api_key, extra={"read_timeout": 0.2, "max_retries": 0})
    return lambda: check("--create", "--phone-number", OWN_NUMBER, url=None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "fault"),
    # A report's file without an end is read up to 4 GiB.
    [(call, fault) for call in CALLS for fault in FAULTS if (call, fault) != ("download", "no end")],
)
def test_a_failure_is_a_reason_and_no_traceback(
    impatient: Check, sandbox: Sandbox, sleep_calls: list[float], call: str, fault: str
) -> None:
    sandbox.arm(call, times=100, **FAULTS[fault])
    run = impatient()
    assert run.status in (0, 1), run.err
    assert "Traceback" not in run.out + run.err
    assert "holds" in run.out
    require_no_message(sandbox, run)
    if FAULTS[fault].get("status", 200) != 200 and fault != "odd errors":
        assert run.rows("differs").keys() <= {"rate-limit", "report-download"}, run.out


def test_the_draft_of_a_lost_create_is_a_reason(create: Check, sandbox: Sandbox) -> None:
    sandbox.arm("create", when="after", connection="drop")
    seen = create().rows("unknown")["update-status"]
    assert seen.startswith("no draft with a valid _id: POST /whatsapp/campaigns (otpiq-check) got no complete response")


def test_a_project_without_a_template_gets_no_draft(create: Check, sandbox: Sandbox) -> None:
    body = {"success": True, "data": {"businesses": []}}
    sandbox.arm("resources", status=200, body=body)
    run = create()
    assert run.rows("unknown")["create-status"] == (
        "no draft was created: no WhatsApp account has a template and a number"
    )
    assert len(sandbox.campaigns) == 1


def test_the_report_for_a_bug_has_no_key_no_number_and_no_name(create: Check, sandbox: Sandbox, tmp_path: Path) -> None:
    numbers = (OWN_NUMBER, "9647701234567", "9647701234561", "7701234567")
    names = ("Sandbox project", "Sandbox business", "Sandbox shop", "summer_promo", "order_update")
    secrets = (sandbox.api_key, *numbers, *names)
    echo = {
        "error": f"No: {' '.join(secrets)} (+{OWN_NUMBER[:3]} {OWN_NUMBER[3:6]} {OWN_NUMBER[6:9]} {OWN_NUMBER[9:]})"
    }
    sandbox.arm("update", times=5, status=400, body=echo)
    sandbox.arm("attach", times=9, status=400, body=echo)
    sandbox.arm("generate", status=400, body=echo)
    file = tmp_path / "check.json"
    run = create("--json", str(file))
    written = file.read_text()
    assert run.rows("differs")  # so the echo is among what was seen
    assert "No: •••" in written
    # No number is masked: its first digits could be enough to find somebody.
    assert [secret for secret in (*secrets, OWN_NUMBER[:6]) if secret in written] == []
    assert not [secret for secret in (sandbox.api_key, *numbers) if secret in run.out + run.err]


def test_the_report_for_a_bug_has_nothing_that_otpiq_repeats_in_another_form(
    create: Check, sandbox: Sandbox, tmp_path: Path
) -> None:
    spelled = f"{OWN_NUMBER[:3]} - {OWN_NUMBER[3:6]} - {OWN_NUMBER[6:9]} - {OWN_NUMBER[9:]}"
    template = {"id": "Haval_Ahmad", "name": "offer", "language": "ar", "status": "APPROVED"}
    number = {"id": "9647709876543", "phoneNumber": "9647701234567", "status": "CONNECTED", "ownerName": "Haval Ahmad"}
    account = {"phoneNumbers": [number], "templates": [template]}
    resources = {"success": True, "data": {"businesses": [{"whatsappAccounts": [account]}]}}
    payload = {"fields": [], "exampleRecipient": {"templateParameters": {"body": {"1": "Nechirvan"}}}}
    sandbox.arm("resources", status=200, body=resources)
    sandbox.arm("payload", status=200, body={"success": True, "data": payload})
    refusal = {"error": f"Haval Ahmad ({spelled}) and Nechirvan cannot be created with Haval_Ahmad"}
    sandbox.arm("create", status=400, body=refusal)
    sandbox.arm("generate", status=400, body=refusal)
    file = tmp_path / "check.json"
    create("--json", str(file))
    written = file.read_text()
    assert "cannot be created" in written
    assert not [part for part in ("Haval", "Ahmad", "Nechirvan", spelled, OWN_NUMBER[-4:]) if part in written]


@pytest.mark.parametrize("padding", range(0, 12, 3))
def test_the_report_for_a_bug_has_no_part_of_a_name_that_is_cut(
    create: Check, sandbox: Sandbox, tmp_path: Path, padding: int
) -> None:
    error = f"{'x' * padding}: {'Sandbox project, ' * 60}"
    sandbox.arm("update", status=400, body={"error": error}, times=5)
    file = tmp_path / "check.json"
    create("--json", str(file))
    written = file.read_text()
    assert "•••, •••" in written
    assert re.findall(r"\bSa\w*|\bpro?j\w*", written) == []


def test_the_report_for_a_bug_has_the_table(create: Check, tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    run = create("--json", str(file))
    report = json.loads(file.read_text())
    assert {row["id"]: row["seen"] for row in report["assumptions"]} == run.rows("holds")
    assert {row["result"] for row in report["assumptions"]} == {"holds"}
    assert {call["status"] for call in report["calls"]} == {200, 201, 400, 404, None}  # None: a download
    assert set(report) == {"provider", "airflow", "python", "checked_at", "assumptions", "calls"}


def test_it_needs_no_airflow_connection_with_a_url(check: Check) -> None:
    assert check().status == 0


def test_it_reads_an_airflow_connection(check: Check, sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    assert check(url=None).status == 0
    assert sandbox.requests


@pytest.mark.parametrize(
    "case",
    [
        "no key",
        "bad URL",
        "wrong key",
        "not OTPIQ",
        "no server",
        "number without create",
        "bad number",
        "bad file",
        "folder as file",
        "no file name",
    ],
)
def test_what_cannot_run_says_in_one_line_what_to_do(
    check: Check, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion, case: str
) -> None:
    if case == "no key":
        monkeypatch.delenv("OTPIQ_API_KEY")
    if case == "wrong key":
        monkeypatch.setenv("OTPIQ_API_KEY", "sk_dev_wrong")
    run = {
        "bad URL": lambda: check(url="ftp://example.com"),
        "not OTPIQ": lambda: check(url=sandbox.url.removesuffix("api")),
        "no server": lambda: check(url=f"http://127.0.0.1:{refusing_port()}/api"),
        "number without create": lambda: check("--phone-number", OWN_NUMBER),
        "bad number": lambda: check("--create", "--phone-number", "0770"),
        "bad file": lambda: check("--json", "/does/not/exist.json"),
        "folder as file": lambda: check("--json", "/"),
        "no file name": lambda: check("--json", ""),
    }.get(case, check)()
    assert (run.status, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", run.err) == snapshot
    assert not sandbox.campaigns


@pytest.mark.parametrize("extra", [{"allowed_recipients": ["+96478"]}, {"allowed_recipients": []}])
def test_a_number_that_the_guard_rails_do_not_allow_is_not_attached(
    check: Check,
    connect: Callable[..., OtpiqHook],
    sandbox: Sandbox,
    snapshot: SnapshotAssertion,
    extra: dict[str, Any],
) -> None:
    connect(host=sandbox.url, password=sandbox.api_key, extra=extra)
    run = check("--create", "--phone-number", OWN_NUMBER, url=None)
    assert (run.status, sandbox.requests) == (2, [])
    assert "assumption" not in run.out  # some versions of Airflow print their own log
    assert run.err == snapshot


def test_guard_rails_that_allow_the_number_do_not_matter(
    check: Check, connect: Callable[..., OtpiqHook], sandbox: Sandbox
) -> None:
    extra = {"allowed_recipients": ["+964"], "quiet_hours": "00:00-23:59 UTC"}
    connect(host=sandbox.url, password=sandbox.api_key, extra=extra)
    assert check("--create", "--phone-number", OWN_NUMBER, url=None).status == 0
    assert sandbox.recipients(sandbox.campaigns[-1]["_id"]) == [OWN_NUMBER]


def test_one_error_of_another_form_differs(create: Check, sandbox: Sandbox) -> None:
    sandbox.arm("update", status=400, body={"detail": "No"})
    assert create().rows("differs")["error-body"] == "fields detail"


def test_a_missing_connection_says_what_to_do(check: Check, sandbox: Sandbox) -> None:
    run = check("--conn-id", "missing", url=None)
    assert run.status == 2
    assert not run.out or AIRFLOW_VERSION.major == 2  # whose own log is printed
    assert run.err.startswith("otpiq-check: --conn-id: the connection 'missing' cannot be read (")
    assert run.err.endswith("Add it, or set --url and OTPIQ_API_KEY instead, which need no database.\n")


def test_the_first_line_of_a_file_without_a_header_is_not_shown(create: Check, sandbox: Sandbox) -> None:
    row = "m1,9647700000001,Ali Hassan,12,WhatsApp Template,delivered,,No,2026-11-20T06:00:00Z,\r\n"
    sandbox.arm("download", status=200, body=row, times=2)
    run = create()
    assert run.rows("differs")["report-columns"] == "10 columns, and none of the documented ones"
    assert "Ali Hassan" not in run.out


def test_the_key_is_not_shown_where_otpiq_repeats_it(check: Check, sandbox: Sandbox) -> None:
    sandbox.arm("create", status=201, body={"success": True, sandbox.api_key: 1})
    run = check("--create")
    assert run.rows("differs")["create-shape"] == "fields success, •••"


@pytest.mark.parametrize(("status", "body"), [(200, "5"), (400, HTML)])
def test_a_response_that_is_not_json_proves_nothing(create: Check, sandbox: Sandbox, status: int, body: str) -> None:
    sandbox.arm("update", status=status, body=body, headers={"Content-Type": "text/html"})
    seen = create().rows("unknown")["unknown-fields"]
    assert seen == f"the response is {status} without JSON: {len(body)} byte{'s' * (len(body) > 1)}, text/html"
