"""The operator that creates a broadcast: what it creates, refuses, continues and pushes."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqRateLimitError,
    OtpiqRequestError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import PART_SIZE, everybody, messaged, number, write_audience
from tests.operators.broadcasts import Run, sent, text_of


def test_a_create_makes_a_draft_of_each_part(create: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    assert create() == f"{tmp_path}/ledger"
    assert [campaign["name"] for campaign in sandbox.campaigns] == [f"Summer offer {index}/3" for index in (1, 2, 3)]
    assert {campaign["status"] for campaign in sandbox.campaigns} == {"draft"}
    people = [each for campaign in sandbox.campaigns for each in sandbox.recipients(campaign["_id"])]
    assert people == [number(each) for each in range(3 * PART_SIZE)]
    assert create.pushed == {
        "broadcast": {"campaigns": 3, "recipients": 9, "estimated_cost": 9 * 12},
        "first_campaign_id": sandbox.campaigns[0]["_id"],
    }


def test_only_the_prepare_decides_which_strings_mean_no_value(create: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    write_audience(str(tmp_path), name="None")
    create()
    attached = [each["body"]["recipients"] for each in sandbox.requests if each["path"].endswith("/recipients")]
    assert [each["templateParameters"]["body"] for part in attached for each in part] == 9 * [{"1": "None"}]


def test_xcom_and_the_ledger_contain_no_personal_data(create: Run, start: Run) -> None:
    ledger = Path(create())
    start()
    texts = [json.dumps(create.pushed), *(file.read_text() for file in ledger.rglob("*.json"))]
    assert len(texts) == 1 + 2 + 3 + 1 + 3
    assert not [text for text in texts if "9647700" in text or "Zaynab" in text or "C-00" in text]


def test_the_audience_is_in_use_before_the_first_campaign(create: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.arm("create", status=429, times=5, headers={"Retry-After": "3600"})
    create.fail(OtpiqRateLimitError)
    assert json.loads((tmp_path / "in_use.json").read_text()) == {"ledger": f"{tmp_path}/ledger"}


def test_a_later_try_sends_nothing_and_marks_the_audience_too(create: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    create()
    mark, requests = tmp_path / "in_use.json", len(sandbox.requests)
    before = mark.read_text()
    mark.unlink()  # as if the process had died before writing it
    create()
    assert mark.read_text() == before
    assert len(sandbox.requests) == requests


# Lost and edited ledgers


@pytest.mark.parametrize("respelled", ["{}", "{}/../ledger", "file://{}", "{}2", "{tmp}/link/ledger"])
@pytest.mark.parametrize("lost", ["", "*/"])
def test_a_lost_ledger_is_an_error_however_it_is_spelled(
    create: Run, start: Run, sandbox: Sandbox, tmp_path: Path, lost: str, respelled: str
) -> None:
    ledger = Path(create())
    start()
    for folder in list(ledger.glob(lost)) if lost else [ledger]:
        shutil.rmtree(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    ledger.mkdir(exist_ok=True)  # so that .. can be followed
    create.defaults["ledger"] = respelled.format(ledger, tmp=tmp_path)
    (error,) = create.fail().errors
    assert error == f"{ledger}: the files of this ledger are missing, and its campaigns may have been started"
    assert messaged(sandbox) == everybody()
    (tmp_path / "in_use.json").unlink()  # as the error says
    if lost and "2" not in respelled:  # the same ledger, which still has its start
        create.fail(match="are missing, and the start has begun")
        (ledger / "start.json").unlink()
    create()
    assert len(sandbox.campaigns) == 6


def test_a_ledger_without_its_first_file_is_lost(create: Run, sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    ledger = Path(create())
    (ledger / "broadcast.json").unlink()
    assert text_of(create.fail(name="Autumn offer")) == snapshot
    assert len(sandbox.campaigns) == 3


def test_a_second_ledger_that_was_deleted_is_lost(create: Run, start: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    create()
    second = f"{tmp_path}/second"
    assert create(ledger=f"{second}/", name="Winter offer") == second
    start(broadcast=second)
    shutil.rmtree(second)
    error = create.fail(ledger=second, name="Winter offer")
    assert error.errors[0].startswith(f"{second}: the files of this ledger are missing")
    assert messaged(sandbox) == everybody()
    mark = Path(str(error).rpartition("delete ")[2].removesuffix(" and clear the task."))
    mark.unlink()
    create(ledger=second, name="Winter offer")
    assert len(sandbox.campaigns) == 9


def test_a_replaced_request_that_was_deleted_is_lost(create: Run, start: Run, sandbox: Sandbox) -> None:
    create()
    ledger = Path(create(name="Autumn offer", replace=True))
    start()
    assert len(list(ledger.glob("*/request.json"))) == 2
    shutil.rmtree(ledger / json.loads((ledger / "start.json").read_text())["request"])
    assert create.fail(name="Autumn offer").errors[0].startswith(f"{ledger}: the files of this ledger are missing")
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize("lost", [("campaigns", "schedule"), ("campaigns/00001.json",)], ids=["all", "one"])
def test_a_ledger_that_lost_campaigns_after_its_start_is_an_error(
    create: Run, start: Run, sandbox: Sandbox, tmp_path: Path, lost: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    ledger = Path(create())
    start()
    for index, name in enumerate(lost):
        (path,) = ledger.glob(f"*/{name}")
        path.rename(tmp_path / f"lost_{index}")
    assert text_of(create.fail()) == snapshot
    assert len(sandbox.campaigns) == 3


def test_an_edited_mark_is_an_error(create: Run, tmp_path: Path, sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    (tmp_path / "in_use.json").write_text('{"led')
    assert text_of(create.fail()) == snapshot
    assert not sandbox.campaigns


def test_the_fix_in_the_error_of_an_edited_request_works(create: Run, tmp_path: Path) -> None:
    ledger = Path(create())
    (ledger / "broadcast.json").write_text("{}")
    (copy,) = ledger.glob("*/request.json")
    another = str(ledger.parent / "another")
    for location in (str(ledger), another):
        create.fail(match=r"broadcast\.json: was edited.* Delete the in_use\*\.json", ledger=location)
    (ledger / "broadcast.json").write_bytes(copy.read_bytes())
    assert create() == str(ledger)
    (ledger / "broadcast.json").write_text("{}")
    (tmp_path / "in_use.json").unlink()
    assert create(ledger=another) == another


def test_a_ledger_of_another_audience_names_both(create: Run, audience: str, tmp_path: Path) -> None:
    """Such as of another group: nothing was prepared again."""
    other = write_audience(f"{tmp_path}/other", first=100)
    create(ledger=f"{tmp_path}/one")
    errors = create.fail(audience=other, ledger=f"{tmp_path}/one").errors
    assert errors == (f"audience: was {audience!r}, is now {other!r}, with other rows",)


def test_an_edited_ledger_is_an_error(create: Run, start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    entry = next(Path(create()).rglob("campaigns/00001.json"))
    entry.write_text(entry.read_text().replace('"campaign_id"', '"id"'))
    for run in (create, start):
        assert text_of(run.fail()) == snapshot(name="edited")
    assert not messaged(sandbox)


# Another request


def test_a_changed_request_is_an_error_that_lists_the_changes(
    create: Run, start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    create()
    failure = create.fail(name="Autumn offer", template_language="en")
    assert [error.partition(":")[0] for error in failure.errors] == ["name", "template_language"]
    assert text_of(failure) == snapshot
    assert len(sandbox.campaigns) == 3

    create(name="Autumn offer", replace=True)
    assert len(sandbox.campaigns) == 6
    start()
    assert messaged(sandbox) == everybody()
    assert [each["name"][:6] for each in sandbox.campaigns if each["status"] == "scheduled"] == ["Autumn"] * 3

    create.fail(match="has begun with another request", replace=True)
    assert len(sandbox.campaigns) == 6


def test_no_task_uses_a_request_that_is_saved_after_another_has_started(
    create: Run, start: Run, report: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    ledger = Path(create())
    create(name="Autumn offer", replace=True)
    late = (ledger / "broadcast.json").read_bytes()
    create(replace=True)
    start()
    (ledger / "broadcast.json").write_bytes(late)  # by a create that was interrupted just before
    before = len(sandbox.campaigns)
    for error in (
        create.fail(name="Autumn offer"),
        create.fail(name="Autumn offer", replace=True),
        start.fail(),
        report.fail(broadcast=str(ledger)),
    ):
        assert text_of(error) == snapshot(name="another request")
    assert len(sandbox.campaigns) == before
    create(replace=True)  # as the error says
    start()
    assert messaged(sandbox) == everybody()


# Shards and fields


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_shards_divide_the_parts(create: Run, start: Run, sandbox: Sandbox, shards: int) -> None:
    totals: list[dict[str, Any]] = []
    for run in (create, start):
        totals.clear()
        for shard in range(shards):
            run(shard=str(shard), shards=shards)
            totals.append(create.pushed["broadcast"])
    assert messaged(sandbox) == everybody()
    assert len(sandbox.campaigns) == sum(each["scheduled"] for each in totals) == 3
    assert sum(each["recipients"] for each in totals) == 9
    assert len({each["scheduled_for"] for each in totals}) == 1


def test_a_start_accepts_the_output_of_a_mapped_create(create: Run, start: Run, sandbox: Sandbox) -> None:
    ledgers = [create(shard=shard, shards=2) for shard in (0, 1)]
    start.fail(match=r"broadcast: must be one path.*found 2", broadcast=[*ledgers, "/another"])
    start(broadcast=ledgers)
    assert messaged(sandbox) == everybody()


def test_a_name_leaves_room_for_the_number_of_its_campaign(
    create: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    assert text_of(create.fail(name="x" * 77)) == snapshot
    assert not sandbox.requests


# What is compared before the first campaign


def test_the_audience_must_have_the_templates_parameters(
    create: Run, sandbox: Sandbox, audience: str, snapshot: SnapshotAssertion
) -> None:
    manifest = Path(audience)
    manifest.write_text(manifest.read_text().replace('"1"', '"2"'))
    assert text_of(create.fail()) == snapshot
    assert not sent(sandbox)
    assert not (manifest.parent / "in_use.json").exists()


def test_a_number_with_a_smaller_daily_limit_is_a_warning(
    create: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create(audience=write_audience(str(tmp_path / "large"), parts=2, part_size=600))
    assert "may reach 1,000 people in 24 hours (TIER_1K), and the audience has 1,200" in caplog.text


@pytest.mark.parametrize(
    ("rail", "value"), [("max_broadcast_recipients", 8), ("max_recipients", 2), ("allowed_recipients", "96477000000")]
)
def test_guard_rails_refuse_a_broadcast_before_its_first_campaign(
    create: Run,
    start: Run,
    sandbox: Sandbox,
    connect_sandbox: Callable[..., OtpiqHook],
    tmp_path: Path,
    rail: str,
    value: object,
) -> None:
    audience = write_audience(str(tmp_path / "other"), first=95)
    ledger = create(audience=audience)
    before = sent(sandbox)
    connect_sandbox(**{rail: value})
    for error in (
        create.fail(match=rail, audience=audience, ledger=str(tmp_path / "second")),
        start.fail(match=rail, broadcast=ledger),
    ):
        assert "Zaynab" not in str(error)
    assert sent(sandbox) == before


def test_a_broadcasts_limit_allows_campaigns_that_a_campaigns_limit_refuses(
    create: Run, sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook], tmp_path: Path
) -> None:
    audience = write_audience(str(tmp_path / "large"), parts=2, part_size=1000)
    connect_sandbox(max_recipients=500)
    create.fail(match="max_broadcast_recipients", audience=audience)
    connect_sandbox(max_broadcast_recipients=2000)
    create(audience=audience)
    assert len(sandbox.campaigns) == 2


# One part fails, or a response is odd


def test_an_edited_part_does_not_stop_the_others(create: Run, start: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    part = tmp_path / "parts" / "00001.json"
    original = part.read_text()
    part.write_text(original.replace(number(3), number(77)))
    create.fail(OtpiqRequestError, match=r"Refused campaigns: 1 of 3.*\n.*00001\.json: was changed")
    assert start.fail().errors == ("1 of 3 campaigns without the recipients of their part: part 00001",)
    part.write_text(original)
    create()
    start()
    assert messaged(sandbox) == everybody()


def test_a_part_that_is_edited_between_two_tries_keeps_its_draft(create: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.arm("attach", status=429, headers={"Retry-After": "600"})
    create.fail(OtpiqRateLimitError)
    (tmp_path / "parts" / "00000.json").write_text("[]")
    for _ in range(2):
        create.fail(OtpiqRequestError, match=r"00000\.json: was changed")
    assert len(sandbox.campaigns) == 3


def test_a_refused_campaign_does_not_stop_the_others(create: Run, start: Run, sandbox: Sandbox) -> None:
    sandbox.arm("attach", status=400, body={"error": "Not today"})
    error = create.fail(OtpiqRequestError)
    first, refused, remedy = str(error).splitlines()
    assert first == "Refused campaigns: 1 of 3; the others are done:"
    assert re.fullmatch(r"  - part 00000: .*Not today.*", refused)
    assert remedy == error.remedy
    create()
    assert len(sandbox.campaigns) == 3  # the draft is used again
    sandbox.arm("update", status=400, body={"error": "Not today"}, times=2)
    start.fail(OtpiqRequestError, match="Not today")


def test_an_error_lists_the_first_of_many_refused_campaigns(
    create: Run, sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = write_audience(f"{tmp_path}/many", parts=25, part_size=1)
    sandbox.arm("attach", status=400, body={"error": "Not today"}, times=25)
    error = create.fail(OtpiqRequestError, match="Refused campaigns: 25 of 25", audience=many)
    assert str(error).count("Not today") == 20
    assert "and 5 more, which the log lists" in str(error)
    assert caplog.text.count(" was refused: ") == 25


@pytest.mark.slow
@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])
def test_errors_name_twenty_parts_at_most(
    create: Run, start: Run, sandbox: Sandbox, tmp_path: Path, count: int, more: str
) -> None:
    many, ledger = write_audience(f"{tmp_path}/many", parts=count, part_size=1), tmp_path / "many" / "ledger"
    twenty = ", ".join(f"{part:05}" for part in range(20))
    sandbox.arm("create", status=400, body={"error": "Not today"}, times=count)
    create.fail(OtpiqRequestError, match=f"parts {twenty}{more}: .*Not today", audience=many)
    start.fail(match=rf"recipients of their part: parts {twenty}{more}\.", broadcast=str(ledger))
    create(audience=many)
    start(broadcast=str(ledger))
    for campaign in ledger.rglob("campaigns/*"):
        campaign.unlink()
    create.fail(match=f"the campaigns of parts {twenty}{more} are missing, ", audience=many)


def test_a_429_ends_the_try_and_the_next_one_continues(
    create: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    create(shard=0, shards=3)
    sandbox.arm("attach", status=429, headers={"Retry-After": "600"})
    assert create.fail(OtpiqRateLimitError).retry_after == 600
    create()
    assert len(sandbox.campaigns) == 3
    assert caplog.text.count("Campaigns that already have the recipients of their part: 1 of 3.") == 2


def test_recipients_that_somebody_else_attached_get_no_message(
    create: Run, start: Run, sandbox: Sandbox, sandbox_hook: OtpiqHook
) -> None:
    sandbox.arm("attach", connection="drop", times=2)
    create.fail(OtpiqConnectionError, match="attach")
    draft = sandbox.campaigns[0]["_id"]
    other = {"phoneNumber": "9647801234567", "templateParameters": {"body": {"1": "Ali"}}}
    sandbox_hook.attach_recipients(campaign_id=draft, recipients=[other])
    create()
    start()
    assert messaged(sandbox) == everybody()
    assert sandbox.campaigns[0]["status"] == "draft"


def test_fewer_recipients_than_were_attached_are_a_warning_and_counted(
    create: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"totalRecipients": 2, "estimatedTotalCost": 24}
    sandbox.arm("attach", status=200, body={"success": True, "data": data}, when="after")
    create()
    assert "holds 2 recipients, and its part 00000 has 3" in caplog.text
    assert create.pushed["broadcast"] == {"campaigns": 3, "recipients": 8, "estimated_cost": 8 * 12}


@pytest.mark.parametrize("odd", ["three", -1, None, True, "missing"])
def test_odd_or_missing_numbers_in_a_response_are_read_back(create: Run, sandbox: Sandbox, odd: object) -> None:
    data = {} if odd == "missing" else {"totalRecipients": odd, "estimatedTotalCost": odd}
    sandbox.arm("attach", status=200, body={"success": True, "data": data}, when="after")
    create()
    assert create.pushed["broadcast"] == {"campaigns": 3, "recipients": 9, "estimated_cost": 9 * 12}
    assert sent(sandbox).count("PATCH {_id}") == 1


def test_an_unknown_cost_is_none_and_a_warning(create: Run, start: Run, caplog: pytest.LogCaptureFixture) -> None:
    ledger = next(Path(create()).rglob("campaigns/00000.json"))
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"estimated_cost": None}))
    create()
    assert create.pushed["broadcast"]["estimated_cost"] is None
    start()
    assert "so they are not compared" in caplog.text
