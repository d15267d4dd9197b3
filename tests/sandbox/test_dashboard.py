"""What the web UI shows, and what it masks."""

import re
from html import unescape

import pytest
import requests

from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    WINDOW,
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

pytestmark = pytest.mark.slow


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
    in_digits_from("\N{ARABIC-INDIC DIGIT ZERO}"),
    in_digits_from("\N{ARABIC-INDIC DIGIT ZERO}").replace(" ", ""),
    in_digits_from("\N{EXTENDED ARABIC-INDIC DIGIT ZERO}"),
    in_digits_from("\N{FULLWIDTH DIGIT ZERO}"),
    "964\N{NO-BREAK SPACE}771\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}5678",
    "964\N{EN DASH}771\N{EN DASH}234\N{EN DASH}5678",
    "tel9647712345678",
    *(f"a{separator}9647712345678" for separator in "\n\t\x00"),
]


def dashboard(sandbox: Sandbox, query: str = "") -> str:
    response = requests.get(sandbox.url.removesuffix("api") + query, timeout=10)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    return response.text


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<.*?>", " ", html)).split())


def tables(sandbox: Sandbox) -> list[list[list[str]]]:
    """The texts of the cells by table and row, without the headings."""
    bodies = re.findall("<tbody>(.*?)</tbody>", dashboard(sandbox), re.DOTALL)
    rows = [re.findall("<tr>(.*?)</tr>", body, re.DOTALL) for body in bodies]
    return [
        [[text_of(cell) for cell in re.findall("<t[dh].*?>(.*?)</t[dh]>", row, re.DOTALL)] for row in table]
        for table in rows
    ]


def is_shown(text: str, digits: str) -> bool:
    """Whether a run of digits is on the page, in any spelling."""
    text = re.sub(r"\b[0-9a-fA-F]{24}\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", "", unescape(text))
    return digits in "".join(str(int(character)) for character in text if character.isdecimal())


def shown_time(time: str) -> str:
    return time[:19].replace("T", " ")


def test_an_empty_page(sandbox: Sandbox) -> None:
    text = text_of(dashboard(sandbox))
    assert "Not OTPIQ. It sends no messages." in text
    assert "Credit 15,000 IQD" in text
    assert f"the host {sandbox.url} ." in text
    assert [len(table) for table in tables(sandbox)] == [1, 1, 1]
    assert sandbox.requests == []


def test_it_refreshes_until_it_is_paused(sandbox: Sandbox) -> None:
    assert 'http-equiv="refresh"' in dashboard(sandbox)
    assert 'http-equiv="refresh"' not in dashboard(sandbox, "?refresh=off")


def test_campaigns_are_listed_newest_first_with_their_progress(sandbox: Sandbox) -> None:
    running = with_recipients(sandbox, *people(999), {"phoneNumber": "9647700000000"}, name="Runs")
    start(sandbox, running)
    waiting = with_recipients(sandbox, *people(2), name="Waits", scheduleType="schedule", scheduledFor=tomorrow())
    draft = created_id(sandbox, name="Draft")
    sandbox.move_clock(seconds=60)
    campaigns, *_ = tables(sandbox)
    finished, scheduled, _ = sandbox.campaigns
    assert campaigns == [
        [f"Draft {draft}", "draft", "–", "0 of 0", "0", "0", "0"],
        [f"Waits {waiting}", "scheduled", shown_time(scheduled["scheduledFor"]), "0 of 2", "0", "0", "0"],
        [
            *(f"Runs {running}", "completed", shown_time(finished["startedAt"])),
            *("1,000 of 1,000", "999", "1", "11,988"),
        ],
    ]
    assert f"Credit {15000 - 11988:,} IQD" in text_of(dashboard(sandbox))
    bars = re.findall(r'<progress value="(\d+)" max="(\d+)"', dashboard(sandbox))
    assert bars == [("0", "1"), ("0", "2"), ("1000", "1000")]


def test_the_progress_bar_follows_the_clock(sandbox: Sandbox) -> None:
    start(sandbox, with_recipients(sandbox, *people(1000), scheduleType="schedule", scheduledFor=tomorrow()))
    sandbox.move_clock(seconds=25)
    ((done, of),) = re.findall(r'<progress value="(\d+)" max="(\d+)"', dashboard(sandbox))
    assert (500 <= int(done) < 1000, of) == (True, "1000")
    assert tables(sandbox)[0][0][2] == shown_time(sandbox.campaigns[0]["startedAt"])  # not the scheduled time


def test_armed_faults_are_listed(sandbox: Sandbox) -> None:
    sandbox.arm("start", status=503, times=2)
    _, faults, *_ = tables(sandbox)
    assert faults == [["start", "2", '{"status": 503}']]


def test_reports_are_listed_newest_first_with_a_link_to_their_file(sandbox: Sandbox) -> None:
    sample(sandbox, created_id(sandbox), *people(2))
    old = generate(sandbox).json()
    sandbox.move_clock(days=31)
    new = generate(sandbox, **WINDOW).json()
    _, reports, _ = tables(sandbox)
    assert reports == [
        [
            report["filename"],
            *map(shown_time, report["dateRange"].values()),
            str(report["recordCount"]),
            "available" if report is new else "expired",
            shown_time(report["expiresAt"]),
        ]
        for report in (new, old)
    ]
    (link,) = re.findall('<a href="(/files.*?)">', dashboard(sandbox))
    assert new["downloadUrl"] == sandbox.url.removesuffix("/api") + link
    assert download(new["downloadUrl"]).status_code == 200
    assert tables(sandbox)[-1][0][1:3] == [f"GET {link}", "200"]


def test_requests_are_listed_newest_first(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    start(sandbox, campaign_id)
    call(sandbox, "GET", "/info", key="sk_live_wrong")
    sandbox.arm("info", connection="drop")
    with pytest.raises(requests.ConnectionError):
        call(sandbox, "GET", "/info")
    *_, listed = tables(sandbox)
    assert [row[1:3] for row in listed] == [
        ["GET /api/info", "none"],
        ["GET /api/info", "401"],
        [f"POST /api/whatsapp/campaigns/{campaign_id}/start", "400"],
        ["POST /api/whatsapp/campaigns", "201"],
    ]
    assert '"name": "Summer"' in listed[3][3]
    assert [row[0] for row in reversed(listed)] == [request["at"][11:19] for request in sandbox.requests]
    assert "sk_" not in dashboard(sandbox)


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


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_phone_number_is_masked_wherever_it_is(sandbox: Sandbox, spelling: str) -> None:
    create(sandbox, name=f"To {spelling}")
    call(sandbox, "POST", f"{CAMPAIGNS}/{spelling.replace('/', '-')}/recipients", {spelling: [{"a": spelling}]})
    text = dashboard(sandbox)
    assert spelling not in unescape(text)
    assert not is_shown(text, "7712345")


def test_a_number_that_is_not_a_phone_number_stays_a_number(sandbox: Sandbox) -> None:
    call(sandbox, "POST", CAMPAIGNS, {"name": 5, "templateId": 9647712345678})
    assert tables(sandbox)[-1][0][3] == '{"name": 5, "templateId": "9647•••78"}'


@pytest.mark.parametrize("time", ["2099-12-01T06:00:00Z", "2099-12-01 06:00:00Z"])
def test_ids_and_times_are_not_masked(sandbox: Sandbox, time: str) -> None:
    campaign_id = created_id(sandbox)
    create(sandbox, scheduleType="schedule", scheduledFor=time)
    text = dashboard(sandbox)
    assert campaign_id in text
    assert text.count(CREATE_BODY["templateId"]) == 2
    assert time in tables(sandbox)[-1][0][3]


def test_html_is_escaped(sandbox: Sandbox) -> None:
    script = "<script>alert('\"&')</script>"
    create(sandbox, name=script)
    call(sandbox, "POST", f"{CAMPAIGNS}/{script.replace('/', '')}/start")
    text = dashboard(sandbox)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 4


def test_a_lone_surrogate_in_a_body_does_not_break_the_page(sandbox: Sandbox) -> None:
    call(sandbox, "POST", CAMPAIGNS, {"name": "\ud800"})
    dashboard(sandbox)
