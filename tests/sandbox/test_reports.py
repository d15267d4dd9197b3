"""Delivery reports: their fields, the rows of their files, filters, and when they expire."""

import itertools
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.sandbox.client import (
    WINDOW,
    attach,
    call,
    clock,
    control,
    created_id,
    download,
    generate,
    ids_of_template,
    list_reports,
    people,
    people_without_whatsapp,
    reported_file,
    rows,
    sample,
    start,
    tomorrow,
    with_recipients,
)

pytestmark = pytest.mark.slow

COLUMNS = (
    "Message ID,Phone Number,Sender ID,Cost (IQD),Message Type,Delivery Status,Error Reason,Refunded,Created At,Sent At"
)
REPORT = [
    *("_id", "reportId", "filename", "fileId", "downloadUrl", "recordCount", "dateRange", "filters", "expiresAt"),
    *("status", "createdAt", "updatedAt", "message"),
]
MISSING = "missing"
WINDOW_START = "2026-01-01T00:00:00Z"
EVEN, ODD, FAILING = "9647712345678", "9647712345679", "9647712345000"


def to(*numbers: str) -> list[dict[str, str]]:
    return [{"phoneNumber": number} for number in numbers]


def started(sandbox: Sandbox, *recipients: Any, **changes: Any) -> str:
    campaign_id = with_recipients(sandbox, *recipients, **changes)
    assert start(sandbox, campaign_id).status_code == 200
    return campaign_id


def reported(sandbox: Sandbox, **fields: Any) -> list[dict[str, str]]:
    """The rows of a new report, as many as it says."""
    report = generate(sandbox, **fields).json()
    found = rows(report["downloadUrl"])
    assert len(found) == report["recordCount"]
    return found


def statuses(sandbox: Sandbox) -> dict[str, str]:
    return {row["Phone Number"]: row["Delivery Status"] for row in reported(sandbox)}


def test_a_report_is_as_documented(sandbox: Sandbox) -> None:
    started(sandbox, *people(3))
    response = generate(sandbox, **WINDOW, phoneNumbers=["+9647712345678"], statuses=["sent", "failed"])
    report = response.json()
    assert response.status_code == 201
    assert list(report) == REPORT
    assert report["_id"] == report["reportId"]
    assert (report["status"], report["recordCount"]) == ("available", 0)
    assert report["dateRange"] == WINDOW
    assert report["filters"] == WINDOW | {"phoneNumbers": ["+9647712345678"], "statuses": ["sent", "failed"]}
    created, expires = (datetime.fromisoformat(report[name]) for name in ("createdAt", "expiresAt"))
    assert expires - created == timedelta(days=30)
    assert report["createdAt"] == report["updatedAt"]
    assert report["downloadUrl"].endswith(f"/{report['fileId']}/{report['filename']}")
    assert generate(sandbox, **WINDOW).json()["filters"] == WINDOW


def test_a_file_is_csv_with_the_documented_columns(sandbox: Sandbox) -> None:
    response = download(generate(sandbox).json()["downloadUrl"])
    assert (response.status_code, response.content) == (200, f"{COLUMNS}\r\n".encode())
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_a_row_has_the_status_of_a_message(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *to(EVEN, FAILING), **ids_of_template(sandbox, "order_update"))
    begun = datetime.fromisoformat(start(sandbox, campaign_id).json()["data"]["startedAt"])
    sandbox.move_clock(hours=1)
    delivered, failed = reported(sandbox, startDate=begun.isoformat())
    assert delivered.pop("Message ID") != failed.pop("Message ID")
    common = {
        "Sender ID": "Sandbox shop",
        "Cost (IQD)": "6",
        "Message Type": "WhatsApp Template",
        "Created At": sandbox.campaigns[0]["startedAt"],
    }
    assert delivered.items() >= (common | {"Phone Number": EVEN, "Delivery Status": "read"}).items()
    assert (delivered["Error Reason"], delivered["Refunded"]) == ("", "No")
    assert failed.items() >= (common | {"Phone Number": FAILING, "Delivery Status": "failed"}).items()
    assert (failed["Error Reason"] > "", failed["Refunded"]) == (True, "Yes")
    sent = [datetime.fromisoformat(row["Sent At"]) - begun for row in (delivered, failed)]
    assert sent == [timedelta(milliseconds=50), timedelta(milliseconds=100)]


REFUSED = {
    "Ali\nHassan": "132018",
    "Ali\r\nHassan": "132018",
    "Ali\tHassan": "132018",
    "Ali     Hassan": "132018",
    "Ali\u2028Hassan": "132018",
    "": "131008",
    " ": "131008",
}


@pytest.mark.parametrize(("text", "code"), REFUSED.items())
@pytest.mark.parametrize("place", ["body", "header", "buttons"])
@pytest.mark.parametrize("send", [attach, sample])
def test_a_message_that_whatsapp_refuses_fails_when_it_is_sent(
    sandbox: Sandbox, text: str, code: str, place: str, send: Any
) -> None:
    campaign_id = created_id(sandbox)
    level = {"0": {"1": text}} if place == "buttons" else {"1": text}
    refused = {"phoneNumber": EVEN, "templateParameters": {place: level}}
    accepted = {"phoneNumber": ODD, "templateParameters": {"body": {"1": "Ali    Hassan"}}}
    assert send(sandbox, campaign_id, refused, accepted).ok
    if send is attach:
        start(sandbox, campaign_id)
    sandbox.move_clock(hours=1)
    failed, delivered = reported(sandbox, startDate=WINDOW_START)
    assert (failed["Phone Number"], failed["Delivery Status"], failed["Refunded"]) == (EVEN, "failed", "Yes")
    assert failed["Error Reason"].startswith(f"{code}: ")
    assert (delivered["Delivery Status"], delivered["Error Reason"]) == ("delivered", "")
    assert [sandbox.campaigns[-1][count] for count in ("sentCount", "failedCount")] == [2, 1]


def test_the_first_parameters_of_a_repeated_number_count(sandbox: Sandbox) -> None:
    twice = [{"phoneNumber": EVEN, "templateParameters": {"body": {"1": text}}} for text in ("Ali", "Ali\n")]
    started(sandbox, *twice)
    sandbox.move_clock(hours=1)
    assert [row["Delivery Status"] for row in reported(sandbox, startDate=WINDOW_START)] == ["read"]


def test_a_delivered_message_may_have_an_error_reason(sandbox: Sandbox) -> None:
    started(sandbox, *to("9647701230001", EVEN))
    sandbox.move_clock(minutes=1)
    arrived, other = reported(sandbox)
    assert (arrived["Delivery Status"], other["Error Reason"]) == ("delivered", "")
    assert arrived["Error Reason"].startswith("131016: ")


def test_text_with_a_comma_is_quoted(sandbox: Sandbox) -> None:
    not_connected = "665f1c2ab3d4e5f6012345a1"
    started(sandbox, *to(FAILING), phoneNumberId=not_connected)
    sandbox.move_clock(seconds=1)
    text = download(generate(sandbox).json()["downloadUrl"]).text
    assert f',{FAILING},"Sandbox shop, new",12,' in text
    assert text.count("\r\n") == text.count("\n") == 2
    assert rows(reported_file(sandbox))[0]["Error Reason"].count(",") == 1


def test_a_message_moves_with_the_clock(sandbox: Sandbox) -> None:
    started(sandbox, *to(EVEN, ODD, FAILING))
    sandbox.move_clock(seconds=-30)  # longer than the calls take
    assert set(statuses(sandbox).values()) == {"pending"}
    assert {row["Sent At"] for row in reported(sandbox)} == {""}
    sandbox.move_clock(seconds=30.5)
    assert statuses(sandbox) == {EVEN: "sent", ODD: "sent", FAILING: "failed"}
    assert "" not in {row["Sent At"] for row in reported(sandbox)}
    sandbox.move_clock(seconds=10)
    assert statuses(sandbox) == {EVEN: "delivered", ODD: "delivered", FAILING: "failed"}
    sandbox.move_clock(minutes=2)
    assert statuses(sandbox) == {EVEN: "read", ODD: "delivered", FAILING: "failed"}
    sandbox.move_clock(days=20)
    window = {"startDate": (clock(sandbox) - timedelta(days=21)).isoformat()}
    assert sorted(row["Delivery Status"] for row in reported(sandbox, **window)) == ["delivered", "failed", "read"]


def test_the_messages_of_a_running_campaign_are_in_each_status(sandbox: Sandbox) -> None:
    recipients = itertools.chain(*zip(people(500), people_without_whatsapp(500), strict=True))
    campaign_id = started(sandbox, *recipients)
    sandbox.move_clock(seconds=25)
    before = sandbox.campaigns[0]["sentCount"]
    found = reported(sandbox)
    (campaign,) = sandbox.campaigns
    counted = Counter(row["Delivery Status"] for row in found)
    assert before <= 1000 - counted["pending"] <= campaign["sentCount"]
    assert counted["failed"] == pytest.approx(campaign["failedCount"], abs=campaign["sentCount"] - before)
    assert 0 < counted["sent"] <= 51 < counted["delivered"]
    assert [row["Phone Number"] for row in found] == sandbox.recipients(campaign_id)
    assert {row["Refunded"] for row in found} == {"No"}
    assert all((row["Sent At"] == "") == (row["Delivery Status"] == "pending") for row in found)
    sandbox.move_clock(seconds=30)
    assert Counter(row["Refunded"] for row in reported(sandbox)) == {"Yes": 500, "No": 500}


def test_drafts_and_scheduled_campaigns_have_no_messages_yet(sandbox: Sandbox) -> None:
    with_recipients(sandbox)
    with_recipients(sandbox, *people(2), scheduleType="schedule", scheduledFor=tomorrow())
    window = {"endDate": (clock(sandbox) + timedelta(days=2)).isoformat()}
    assert reported(sandbox, **window) == []
    sandbox.move_clock(days=1, minutes=1)
    created = {row["Created At"] for row in reported(sandbox, **window)}
    assert created == {sandbox.campaigns[1]["startedAt"]} == {sandbox.campaigns[1]["scheduledFor"]}


def test_a_sample_is_reported_and_a_person_who_is_on_both_twice(sandbox: Sandbox) -> None:
    parent = with_recipients(sandbox, *to(EVEN, ODD))
    sample(sandbox, parent, *to(EVEN))
    assert [row["Phone Number"] for row in reported(sandbox)] == [EVEN]
    start(sandbox, parent)
    found = reported(sandbox)
    assert Counter(row["Phone Number"] for row in found) == {EVEN: 2, ODD: 1}
    assert len({row["Message ID"] for row in found}) == 3
    assert not any(campaign["_id"] in str(found) for campaign in sandbox.campaigns)
    assert [row["Message ID"] for row in reported(sandbox)] == [row["Message ID"] for row in found]


def test_a_report_has_what_was_created_in_its_window(sandbox: Sandbox) -> None:
    begun = [start(sandbox, with_recipients(sandbox, *people(2))).json()["data"]["startedAt"] for _ in range(3)]
    assert {row["Created At"] for row in reported(sandbox, startDate=begun[1])} == set(begun[1:])
    assert {row["Created At"] for row in reported(sandbox, endDate=begun[1])} == set(begun[:2])
    assert {row["Created At"] for row in reported(sandbox, startDate=begun[1], endDate=begun[1])} == {begun[1]}


def test_a_window_is_in_any_time_zone(sandbox: Sandbox) -> None:
    report = generate(sandbox, startDate="2026-12-01T03:00:00+03:00", endDate="2026-12-01T23:00:00-01:00").json()
    assert report["dateRange"] == WINDOW


def test_filters_combine(sandbox: Sandbox) -> None:
    started(sandbox, *to(EVEN, ODD, FAILING))
    sandbox.move_clock(minutes=2)

    def numbers(**filters: Any) -> list[str]:
        return [row["Phone Number"] for row in reported(sandbox, **filters)]

    assert numbers(statuses=["failed", "read"]) == [EVEN, FAILING]
    assert numbers(statuses=["pending"]) == []
    assert numbers(phoneNumbers=[f"+{ODD}", f"+{EVEN}", f"+{ODD}", "+9647700000001"]) == [EVEN, ODD]
    assert numbers(phoneNumbers=[f"+{ODD}", f"+{EVEN}"], statuses=["read"]) == [EVEN]


def test_a_report_is_a_snapshot(sandbox: Sandbox) -> None:
    started(sandbox, *people(100), *people_without_whatsapp(10))
    waiting = with_recipients(sandbox, scheduleType="schedule", scheduledFor=tomorrow())
    sandbox.move_clock(seconds=3)
    report = generate(sandbox, endDate=(clock(sandbox) + timedelta(days=2)).isoformat()).json()
    content = download(report["downloadUrl"]).content
    start(sandbox, waiting)
    started(sandbox, *people(5))
    for seconds in (3600, 86400, -86400 * 2):
        sandbox.move_clock(seconds=seconds)
        assert download(report["downloadUrl"]).content == content
    assert content.count(b"\r\n") == report["recordCount"] + 1 == 111


def test_a_report_expires_after_30_days(sandbox: Sandbox) -> None:
    url = generate(sandbox).json()["downloadUrl"]
    sandbox.move_clock(days=29, hours=23)
    assert (download(url).status_code, sandbox.reports[0]["status"]) == (200, "available")
    sandbox.move_clock(hours=1)
    response = download(url)
    assert (response.status_code, response.json()) == (404, {"message": "File not found"})
    assert [report["status"] for report in list_reports(sandbox).json()] == ["expired"]


def test_reports_are_listed_newest_first(sandbox: Sandbox) -> None:
    assert list_reports(sandbox).json() == sandbox.reports == []
    generated = [generate(sandbox).json() for _ in range(3)]
    assert sandbox.reports == generated
    assert list_reports(sandbox).json() == generated[::-1]
    assert list_reports(sandbox, "?limit=2").json() == generated[:0:-1]


def test_reports_are_listed_by_status_before_they_are_limited(sandbox: Sandbox) -> None:
    old = generate(sandbox).json()["_id"]
    sandbox.move_clock(days=31)
    new = generate(sandbox).json()["_id"]

    def listed(query: str) -> list[str]:
        return [report["_id"] for report in list_reports(sandbox, query).json()]

    assert listed("") == listed("?status=available,expired") == [new, old]
    assert listed("?status=expired&limit=1") == [old]
    assert listed("?status=deleted,available") == [new]
    assert listed("?status=deleted") == []


def test_100_reports_are_listed_by_default_and_500_at_most(sandbox: Sandbox) -> None:
    for _ in range(101):
        generate(sandbox, **WINDOW)
    assert [len(list_reports(sandbox, query).json()) for query in ("", "?limit=500")] == [100, 101]


INVALID_LIMITS = ("0", "501", "-1", "", "ten", "1.5")
INVALID_STATUSES = ("", "lost", "Available", "available,", "available,%20expired", "available%0a", "%ff")


@pytest.mark.parametrize(
    "query", [*(f"limit={limit}" for limit in INVALID_LIMITS), *(f"status={status}" for status in INVALID_STATUSES)]
)
def test_an_invalid_query_returns_400(sandbox: Sandbox, query: str) -> None:
    response = list_reports(sandbox, f"?{query}")
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert query.partition("=")[0] in response.json()["error"]


@pytest.mark.parametrize(
    "broken",
    [
        {"startDate": MISSING},
        {"endDate": MISSING},
        {"startDate": None},
        {"endDate": None},
        {"startDate": "2026-12-02T00:00:01Z"},
        {"startDate": "2026-12-01"},
        {"startDate": "2026-12-01T00:00:00"},
        {"startDate": 1_796_083_200},
        {"startDate": "0001-01-01T00:00:00+05:00"},
        {"endDate": "tomorrow"},
        {"endDate": "9999-12-31T23:59:59-05:00"},
        {"phoneNumbers": None},
        {"phoneNumbers": []},
        {"phoneNumbers": "+9647712345678"},
        {"phoneNumbers": ["9647712345678"]},
        {"phoneNumbers": ["+964 771 234 5678"]},
        {"phoneNumbers": ["+9647712345678\n"]},
        {"phoneNumbers": ["+\u0669\u0666\u0664\u0667\u0667\u0661\u0662\u0663\u0664\u0665"]},
        {"phoneNumbers": [9647712345678]},
        {"statuses": None},
        {"statuses": []},
        {"statuses": "failed"},
        {"statuses": ["Failed"]},
        {"statuses": ["lost"]},
        {"status": "failed"},
        {"campaignId": "6" * 24},
    ],
    ids=str,
)
def test_an_invalid_report_returns_400(sandbox: Sandbox, broken: dict[str, Any]) -> None:
    fields = {name: value for name, value in (WINDOW | broken).items() if value != MISSING}
    response = call(sandbox, "POST", "/reports/generate", fields)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert sandbox.reports == []


@pytest.mark.parametrize("towards", [-1, 1])
def test_the_clock_cannot_be_moved_so_far_that_a_report_fails(sandbox: Sandbox, towards: int) -> None:
    started(sandbox)
    for days in (1_000_000, 100_000, 10_000, 1000, 100, 10, 1):
        for _ in range(10):
            control(sandbox, "POST", "/_sandbox/clock", {"seconds": towards * days * 86400})
    window = {"startDate": "0001-01-01T00:00:00Z", "endDate": "9999-12-31T00:00:00Z"}
    assert len(reported(sandbox, **window)) == 1
    assert list_reports(sandbox).status_code == 200
