"""The web UI: what it lists, and what it never shows."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
import requests

from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    attach,
    call,
    create,
    created_id,
    download,
    generate,
    people,
    sample,
    start,
    tomorrow,
    with_recipients,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox


def in_digits_from(zero: str) -> str:
    """Write a phone number in the digits of another script."""
    return "+964 771 234 5678".translate({ord(str(digit)): chr(ord(zero) + digit) for digit in range(10)})


SPELLINGS = [
    "9647712345678",
    "+9647712345678",
    "+964 771 234 5678",
    "00964 771 234 5678",
    "0771-234-5678",
    "(0771) 234 5678",
    "964.771.234.5678",
    "964/771/2345678",
    "9 6 4 7 7 1 2 3 4 5 6 7 8",
    "Ali: 9647712345678, Sara: 9647712345678.",
    "\N{ARABIC LETTER REH}9647712345678",
    "_9647712345678_",
]
UNMASKED_SPELLINGS = [
    in_digits_from("\N{ARABIC-INDIC DIGIT ZERO}"),
    in_digits_from("\N{ARABIC-INDIC DIGIT ZERO}").replace(" ", ""),
    in_digits_from("\N{EXTENDED ARABIC-INDIC DIGIT ZERO}"),
    in_digits_from("\N{FULLWIDTH DIGIT ZERO}"),
    "964\N{NO-BREAK SPACE}771\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}5678",
    "964\N{EN DASH}771\N{EN DASH}234\N{EN DASH}5678",
    "tel9647712345678",
]


def dashboard(sandbox: Sandbox) -> str:
    response = requests.get(sandbox.url.removesuffix("api"), timeout=10)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    return response.text


def tables(sandbox: Sandbox) -> list[list[list[str]]]:
    """The contents of the page's cells, by table and row, without the headings."""
    found = []
    for table in re.findall("<table>(.*?)</table>", dashboard(sandbox), re.DOTALL):
        rows = re.findall("<tr>(.*?)</tr>", table, re.DOTALL)[1:]
        cells = [re.findall("<td.*?>(.*?)</td>", row, re.DOTALL) for row in rows]
        found.append([[unescape(re.sub("<.*?>", "", cell)) for cell in row] for row in cells])
    return found


def without_ids_and_times(text: str) -> str:
    text = re.sub(r"\b[0-9a-fA-F]{24}\b", "", text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "", text)


def is_shown(text: str, digits: str) -> bool:
    """Whether a run of digits is on the page, in any spelling."""
    shown = "".join(str(int(character)) for character in without_ids_and_times(unescape(text)) if character.isdecimal())
    return digits in shown


def test_an_empty_page_says_what_it_is(sandbox: Sandbox) -> None:
    text = dashboard(sandbox)
    assert "not OTPIQ" in text
    assert "Credit: 15000 IQD" in text
    assert tables(sandbox) == [[["none yet"]]] * 3


def test_the_web_ui_needs_no_key_and_is_not_logged(sandbox: Sandbox) -> None:
    dashboard(sandbox)
    assert sandbox.requests == []


def test_campaigns_are_listed_newest_first_with_their_progress(sandbox: Sandbox) -> None:
    running = with_recipients(sandbox, *people(999), {"phoneNumber": "9647700000000"}, name="Runs")
    start(sandbox, running)
    waiting = with_recipients(sandbox, *people(2), name="Waits", scheduleType="schedule", scheduledFor=tomorrow())
    draft = created_id(sandbox, name="Draft")
    sandbox.move_clock(seconds=60)
    campaigns, *_ = tables(sandbox)
    finished = sandbox.campaigns[0]
    assert [row[:3] for row in campaigns] == [
        ["Draft", draft, "draft"],
        ["Waits", waiting, "scheduled"],
        ["Runs", running, "completed"],
    ]
    assert campaigns[0][5:] == ["0 of 0", "0", "0", "0 IQD"]
    assert campaigns[1][5:] == ["0 of 2", "0", "0", "0 IQD"]
    assert campaigns[2][5:] == ["1000 of 1000", "999", "1", "11988 IQD"]
    assert [row[3] for row in campaigns] == ["", sandbox.campaigns[1]["scheduledFor"][:19], finished["startedAt"][:19]]
    assert f"Credit: {15000 - 11988} IQD" in dashboard(sandbox)


def test_a_campaign_that_was_started_before_its_time_shows_when(sandbox: Sandbox) -> None:
    start(sandbox, with_recipients(sandbox, scheduleType="schedule", scheduledFor=tomorrow()))
    assert tables(sandbox)[0][0][3] == sandbox.campaigns[0]["startedAt"][:19]


def test_the_progress_bar_follows_the_clock(sandbox: Sandbox) -> None:
    start(sandbox, with_recipients(sandbox, *people(1000)))
    assert "12000 IQD" in dashboard(sandbox)
    sandbox.move_clock(seconds=25)
    ((done, of),) = re.findall(r'<progress value="(\d+)" max="(\d+)">', dashboard(sandbox))
    assert (500 <= int(done) < 1000, of) == (True, "1000")
    sandbox.move_clock(seconds=25)
    assert '<progress value="1000" max="1000">' in dashboard(sandbox)


def test_an_empty_campaign_has_an_empty_progress_bar(sandbox: Sandbox) -> None:
    created_id(sandbox)
    assert '<progress value="0" max="1">' in dashboard(sandbox)


def test_a_sample_is_listed(sandbox: Sandbox) -> None:
    sample(sandbox, created_id(sandbox), *people(2))
    campaigns, *_ = tables(sandbox)
    assert [row[0] for row in campaigns] == ["Summer (sample)", "Summer"]


def test_reports_are_listed_newest_first_with_a_link_to_their_file(sandbox: Sandbox) -> None:
    sample(sandbox, created_id(sandbox), *people(2))
    old = generate(sandbox).json()
    sandbox.move_clock(days=31)
    window = {"startDate": "2026-12-01T00:00:00Z", "endDate": "2026-12-02T00:00:00Z"}
    new = generate(sandbox, **window).json()
    _, reports, _ = tables(sandbox)
    window_of_old, times = [old["dateRange"][end][:19] for end in window], ("createdAt", "expiresAt")
    assert reports == [
        [
            "2026-12-01T00:00:00",
            "2026-12-02T00:00:00",
            "0",
            *(new[at][:19] for at in times),
            "available",
            new["filename"],
        ],
        [*window_of_old, "2", *(old[at][:19] for at in times), "expired", ""],
    ]
    (link,) = re.findall('<a href="(.*?)">', dashboard(sandbox))
    assert new["downloadUrl"] == sandbox.url.removesuffix("/api") + link
    assert download(new["downloadUrl"]).status_code == 200
    assert tables(sandbox)[-1][0][1:3] == [f"GET {link}", "200"]


def test_requests_are_listed_newest_first(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    start(sandbox, campaign_id)
    call(sandbox, "GET", "/info", key="sk_live_wrong")
    *_, listed = tables(sandbox)
    assert [row[1:3] for row in listed] == [
        ["GET /api/info", "401"],
        [f"POST /api/whatsapp/campaigns/{campaign_id}/start", "400"],
        ["POST /api/whatsapp/campaigns", "201"],
    ]
    assert '"name": "Summer"' in listed[2][3]
    assert [row[0] for row in reversed(listed)] == [request["at"][11:19] for request in sandbox.requests]


def test_a_request_without_a_response_says_so(sandbox: Sandbox) -> None:
    sandbox.arm("info", connection="drop")
    with pytest.raises(requests.ConnectionError):
        call(sandbox, "GET", "/info")
    assert tables(sandbox)[-1][0][1:3] == ["GET /api/info", "none"]


def test_only_the_last_50_requests_are_listed(sandbox: Sandbox) -> None:
    for number in range(52):
        call(sandbox, "GET", f"/sms{number}")
    *_, listed = tables(sandbox)
    assert len(listed) == 50
    assert (listed[0][1], listed[-1][1]) == ("GET /api/sms51", "GET /api/sms2")


def test_a_long_body_is_shortened_and_masked_to_its_end(sandbox: Sandbox) -> None:
    attach(sandbox, created_id(sandbox), *people(1000))
    body = tables(sandbox)[-1][0][3]
    assert body.endswith("…")
    assert len(body) < 350
    assert re.search(r"\d{5}", body) is None


def check_that_it_is_masked(sandbox: Sandbox, spelling: str) -> None:
    create(sandbox, name=f"To {spelling}")
    call(sandbox, "POST", f"{CAMPAIGNS}/{spelling.replace('/', '-')}/recipients", {spelling: [{"a": spelling}]})
    text = dashboard(sandbox)
    assert spelling not in unescape(text)
    assert not is_shown(text, "7712345")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_phone_number_is_masked_wherever_it_stands(sandbox: Sandbox, spelling: str) -> None:
    check_that_it_is_masked(sandbox, spelling)


@pytest.mark.parametrize("spelling", UNMASKED_SPELLINGS)
def test_a_phone_number_in_a_rarer_spelling_is_masked(sandbox: Sandbox, spelling: str) -> None:
    check_that_it_is_masked(sandbox, spelling)


@pytest.mark.parametrize("separator", ["\n", "\t", "\x00"])
def test_a_phone_number_after_a_control_character_is_masked(sandbox: Sandbox, separator: str) -> None:
    call(sandbox, "POST", CAMPAIGNS, {"name": f"To{separator}9647712345678"})
    assert not is_shown(dashboard(sandbox), "7712345")


def test_the_numbers_of_an_attach_are_masked(sandbox: Sandbox) -> None:
    parameters = {"body": {"1": "+964 780 765 4321"}}
    attach(sandbox, created_id(sandbox), {"phoneNumber": "9647712345678", "templateParameters": parameters})
    text = dashboard(sandbox)
    assert not is_shown(text, "7712345")
    assert not is_shown(text, "780765")
    assert "9647•••78" in text


def test_ids_and_times_are_not_taken_for_phone_numbers(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox, scheduleType="schedule", scheduledFor="2099-12-01T06:00:00Z")
    text = dashboard(sandbox)
    assert campaign_id in text
    assert text.count(CREATE_BODY["templateId"]) == 1
    assert "2099-12-01T06:00:00Z" in tables(sandbox)[-1][0][3]


def test_a_time_with_a_space_is_not_taken_for_a_phone_number(sandbox: Sandbox) -> None:
    create(sandbox, scheduleType="schedule", scheduledFor="2099-12-01 06:00:00Z")
    assert "2099-12-01 06:00:00Z" in dashboard(sandbox)


def test_html_is_escaped(sandbox: Sandbox) -> None:
    script = "<script>alert('\"&')</script>"
    create(sandbox, name=script)
    call(sandbox, "POST", f"{CAMPAIGNS}/{script.replace('/', '')}/start")
    text = dashboard(sandbox)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 4


def test_no_api_key_is_shown(sandbox: Sandbox) -> None:
    created_id(sandbox)
    call(sandbox, "GET", "/info", key="sk_live_wrong")
    text = dashboard(sandbox)
    assert sandbox.api_key not in text
    assert "sk_" not in text


def test_a_lone_surrogate_in_a_body_does_not_break_the_page(sandbox: Sandbox) -> None:
    call(sandbox, "POST", CAMPAIGNS, {"name": "\ud800"})
    dashboard(sandbox)
