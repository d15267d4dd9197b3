"""The operator that creates a broadcast: what it refuses, what it carries on with, and what it pushes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqRateLimitError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from tests.broadcast.people import PART_SIZE, everybody, messaged, number, write_audience
from tests.operators.broadcasts import pushed, sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox


def test_a_create_makes_a_draft_of_each_part(
    create: Callable[..., str], sandbox: Sandbox, context: dict[str, Any], audience: str
) -> None:
    assert create() == str(Path(audience).parent / "ledger")
    assert [campaign["name"] for campaign in sandbox.campaigns] == [f"Summer offer {each}/3" for each in (1, 2, 3)]
    assert {campaign["status"] for campaign in sandbox.campaigns} == {"draft"}
    people = [each for campaign in sandbox.campaigns for each in sandbox.recipients(campaign["_id"])]
    assert people == [number(each) for each in range(3 * PART_SIZE)]
    assert pushed(context) == {
        "broadcast": {"campaigns": 3, "recipients": 9, "estimated_cost": 9 * 12},
        "first_campaign_id": sandbox.campaigns[0]["_id"],
    }


def test_what_means_no_value_was_decided_when_the_audience_was_prepared(
    create: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    write_audience(str(Path(audience).parent), name="None")
    create()
    attached = [each["body"]["recipients"] for each in sandbox.requests if each["path"].endswith("/recipients")]
    assert [each["templateParameters"]["body"] for part in attached for each in part] == 9 * [{"1": "None"}]


def test_nobody_is_in_xcom_and_in_the_ledger(
    create: Callable[..., str], start: Callable[..., str], context: dict[str, Any]
) -> None:
    ledger = Path(create())
    start()
    texts = [json.dumps(pushed(context)), *(file.read_text() for file in ledger.rglob("*.json"))]
    assert len(texts) == 1 + 2 + 3 + 1 + 3
    assert not [text for text in texts if "9647700" in text or "Zaynab" in text or "C-00" in text]


def test_a_second_create_finds_all_done_and_sends_nothing(create: Callable[..., str], sandbox: Sandbox) -> None:
    create()
    before = len(sandbox.requests)
    create()
    assert len(sandbox.requests) == before


def test_the_audience_is_in_use_before_the_first_campaign(
    create: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    sandbox.arm("create", status=429, times=5, headers={"Retry-After": "3600"})
    with pytest.raises(OtpiqRateLimitError):
        create()
    assert json.loads((Path(audience).parent / "in_use.json").read_text()) == {
        "ledger": str(Path(audience).parent / "ledger")
    }


def test_an_audience_is_marked_by_a_later_try_too(create: Callable[..., str], audience: str) -> None:
    create()
    mark = Path(audience).parent / "in_use.json"
    before = mark.read_text()
    mark.unlink()  # as if the process had died before it
    create()
    assert mark.read_text() == before


def test_a_ledger_that_somebody_deleted_is_an_error(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    ledger = create()
    start()
    shutil.rmtree(ledger)
    with pytest.raises(OtpiqValidationError, match=r"is lost: .*delete .*in_use\.json and clear the task"):
        create()
    assert messaged(sandbox) == everybody()
    (Path(audience).parent / "in_use.json").unlink()
    create()
    assert len(sandbox.campaigns) == 6


@pytest.mark.parametrize("respelled", ["{}", "{}/../ledger", "file://{}", "{}2", "{tmp}/link/ledger"])
@pytest.mark.parametrize("lost", ["", "*/"])
def test_a_ledger_that_lost_something_is_an_error_however_it_is_spelled(
    create: Callable[..., str],
    start: Callable[..., str],
    sandbox: Sandbox,
    tmp_path: Path,
    lost: str,
    respelled: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Path(create())
    start()
    for folder in list(ledger.glob(lost)) if lost else [ledger]:
        shutil.rmtree(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    ledger.mkdir(exist_ok=True)  # so that .. can be followed
    with pytest.raises(OtpiqValidationError, match=r"ledger is lost: .*delete .*in_use\.json and clear the task"):
        create(ledger=respelled.format(ledger, tmp=tmp_path))
    assert messaged(sandbox) == everybody()
    (tmp_path / "in_use.json").unlink()
    if lost and "2" not in respelled:  # the same ledger, where the start has been left
        with pytest.raises(OtpiqValidationError, match="has lost the campaigns"):
            create(ledger=respelled.format(ledger, tmp=tmp_path))
        (ledger / "start.json").unlink()
    create(ledger=respelled.format(ledger, tmp=tmp_path))
    assert len(sandbox.campaigns) == 6


def test_a_ledger_without_its_first_file_is_an_error_too(create: Callable[..., str], sandbox: Sandbox) -> None:
    ledger = Path(create())
    (ledger / "broadcast.json").unlink()
    with pytest.raises(OtpiqValidationError, match="is lost: "):
        create(name="Autumn offer")
    assert len(sandbox.campaigns) == 3


@pytest.mark.parametrize("lost", [("campaigns", "schedule"), ("campaigns/00001.json",)])
def test_a_ledger_that_lost_campaigns_after_its_start_is_an_error(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, tmp_path: Path, lost: tuple[str, ...]
) -> None:
    ledger = Path(create())
    start()
    for number_of_lost, name in enumerate(lost):
        (path,) = ledger.glob(f"*/{name}")
        path.rename(tmp_path / f"lost_{number_of_lost}")
    with pytest.raises(OtpiqValidationError, match=r"has lost the campaigns of parts .*00001"):
        create()
    assert len(sandbox.campaigns) == 3


def test_a_mark_that_somebody_edited_is_an_error(create: Callable[..., str], audience: str, sandbox: Sandbox) -> None:
    (Path(audience).parent / "in_use.json").write_text('{"led')
    with pytest.raises(OtpiqValidationError, match=r"in_use\.json: was changed"):
        create()
    assert not sandbox.campaigns


def test_a_replaced_request_that_is_lost_is_an_error(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    create()
    ledger = Path(create(name="Autumn offer", replace=True))
    start()
    assert len(list(ledger.glob("*/request.json"))) == 2
    shutil.rmtree(ledger / json.loads((ledger / "start.json").read_text())["request"])
    with pytest.raises(OtpiqValidationError, match="is lost: "):
        create(name="Autumn offer")
    assert messaged(sandbox) == everybody()


def test_of_a_request_that_is_saved_after_anothers_start_nothing_is_created_or_sent(
    create: Callable[..., str], start: Callable[..., str], report: Callable[..., str], sandbox: Sandbox
) -> None:
    ledger = Path(create())
    create(name="Autumn offer", replace=True)
    late = (ledger / "broadcast.json").read_bytes()
    create(replace=True)
    start()
    (ledger / "broadcast.json").write_bytes(late)  # by a create that was interrupted just before
    before = len(sandbox.campaigns)
    runs: list[tuple[Callable[..., str], dict[str, Any]]] = [
        (create, {"name": "Autumn offer"}),
        (create, {"name": "Autumn offer", "replace": True}),
        (start, {}),
        (report, {"broadcast": str(ledger)}),
    ]
    for run, fields in runs:
        with pytest.raises(OtpiqValidationError, match=r"has begun with another request: .*/request\.json"):
            run(**fields)
    assert len(sandbox.campaigns) == before
    create(replace=True)  # as the error says
    start()
    assert messaged(sandbox) == everybody()


def test_a_ledger_of_the_version_before_is_carried_on_with(create: Callable[..., str], sandbox: Sandbox) -> None:
    (request,) = Path(create()).glob("*/request.json")
    request.unlink()
    create()
    assert len(sandbox.campaigns) == 3


def test_a_second_ledger_that_somebody_deleted_is_an_error_too(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    create()
    second = f"{Path(audience).parent}/second"
    start(broadcast=create(ledger=second, name="Winter offer"))
    shutil.rmtree(second)
    with pytest.raises(OtpiqValidationError, match="second is lost: ") as caught:
        create(ledger=second, name="Winter offer")
    assert messaged(sandbox) == everybody()
    mark = Path(str(caught.value).rpartition("delete ")[2].removesuffix(" and clear the task."))
    mark.unlink()
    create(ledger=second, name="Winter offer")
    assert len(sandbox.campaigns) == 9


def test_the_ledger_may_be_elsewhere(
    create: Callable[..., str], start: Callable[..., str], tmp_path: Path, sandbox: Sandbox
) -> None:
    assert create(ledger=f"{tmp_path}/elsewhere/") == f"{tmp_path}/elsewhere"
    start(broadcast=f"{tmp_path}/elsewhere")
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_shards_divide_the_parts(
    create: Callable[..., str], start: Callable[..., str], context: dict[str, Any], sandbox: Sandbox, shards: int
) -> None:
    totals: list[dict[str, Any]] = []
    for run in (create, start):
        totals.clear()
        for shard in range(shards):
            run(shard=str(shard), shards=shards)
            totals.append(pushed(context)["broadcast"])
    assert messaged(sandbox) == everybody()
    assert len(sandbox.campaigns) == sum(each["scheduled"] for each in totals) == 3
    assert sum(each["recipients"] for each in totals) == 9
    assert len({each["scheduled_for"] for each in totals}) == 1


def test_a_start_takes_what_a_mapped_create_returns(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    ledgers = [create(shard=shard, shards=2) for shard in (0, 1)]
    with pytest.raises(OtpiqValidationError, match=r"broadcast: must be one path.*found 2"):
        start(broadcast=[*ledgers, "/another"])
    start(broadcast=ledgers)
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"shard": 2, "shards": 2}, "shard: must be 0 to 1, as shards is 2; found 2"),
        ({"shards": 2}, "shard: is required, as shards is 2"),
        ({"shards": "2", "shard": "None"}, "shard: is required, as shards is 2"),
        ({"shards": 0}, "shards: must be at least 1"),
        ({"shards": "two"}, "shards: must be a whole number; found 'two'"),
        ({"name": None}, "name: is required"),
        ({"audience": ""}, "audience: is required"),
        ({"template_name": None}, "template_id: is required"),
        ({"name": "x" * 77}, "name: must leave room for the campaign's number"),
        ({"audience": "/usr"}, r"/usr: is a folder\. Set the path of the audience's manifest\.json"),
        ({"audience": "/nowhere/manifest.json"}, "/nowhere/manifest.json: there is no such audience"),
    ],
)
def test_a_wrong_field_sends_nothing(
    create: Callable[..., str], sandbox: Sandbox, fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(OtpiqValidationError, match=error):
        create(**fields)
    assert not sandbox.requests


def test_the_template_must_find_its_parameters_in_the_audience(
    create: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    manifest = Path(audience)
    manifest.write_text(manifest.read_text().replace('"1"', '"2"'))
    with pytest.raises(OtpiqValidationError, match=r"the template requires templateParameters\.body\.1"):
        create()
    assert not sent(sandbox)
    assert not (manifest.parent / "in_use.json").exists()


def test_a_number_that_may_reach_fewer_people_a_day_is_warned_of(
    create: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create(audience=write_audience(str(tmp_path / "large"), parts=2, part_size=600))
    assert "may reach 1,000 people in 24 hours (TIER_1K), and the audience has 1,200" in caplog.text


@pytest.mark.parametrize(
    ("rails", "error"),
    [
        ({"max_broadcast_recipients": 8}, r"max_broadcast_recipients \(8\)"),
        ({"max_recipients": 2}, r"max_recipients \(2\)"),
        ({"allowed_recipients": "96477000000"}, "connection's allowed_recipients"),
    ],
)
def test_guard_rails_refuse_a_broadcast_before_its_first_campaign(
    create: Callable[..., str],
    start: Callable[..., str],
    sandbox: Sandbox,
    connect: Callable[..., OtpiqHook],
    rails: dict[str, Any],
    error: str,
    tmp_path: Path,
) -> None:
    audience = write_audience(str(tmp_path / "other"), first=95)
    create(audience=audience)
    before = sent(sandbox)
    connect(host=sandbox.url, password=sandbox.api_key, extra=rails)
    runs: list[tuple[Callable[..., str], dict[str, Any]]] = [
        (create, {"audience": audience, "ledger": str(tmp_path / "second")}),
        (start, {"broadcast": str(tmp_path / "other" / "ledger")}),
    ]
    for run, fields in runs:
        with pytest.raises(OtpiqValidationError, match=error) as caught:
            run(**fields)
        assert "Zaynab" not in str(caught.value)
        assert sent(sandbox) == before


def test_what_a_campaigns_limit_refuses_a_broadcasts_limit_lets_pass(
    create: Callable[..., str], sandbox: Sandbox, connect: Callable[..., OtpiqHook], tmp_path: Path
) -> None:
    audience = write_audience(str(tmp_path / "large"), parts=2, part_size=1000)
    connect(host=sandbox.url, password=sandbox.api_key, extra={"max_recipients": 500})
    with pytest.raises(OtpiqValidationError, match=r"max_recipients .* max_broadcast_reci"):
        create(audience=audience)
    connect(host=sandbox.url, password=sandbox.api_key, extra={"max_broadcast_recipients": 2000})
    create(audience=audience)
    assert len(sandbox.campaigns) == 2


def test_a_changed_request_is_an_error_that_says_what_changed(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    create()
    with pytest.raises(OtpiqValidationError, match="name was 'Summer offer', and is 'Autumn offer'") as caught:
        create(name="Autumn offer", template_language="en")
    assert "template_language was 'ar', and is 'en'" in caught.value.errors
    assert len(sandbox.campaigns) == 3

    create(name="Autumn offer", replace=True)
    assert len(sandbox.campaigns) == 6
    start()
    assert messaged(sandbox) == everybody()
    assert [each["name"][:6] for each in sandbox.campaigns if each["status"] == "scheduled"] == ["Autumn"] * 3

    with pytest.raises(OtpiqValidationError, match="has begun with another request"):
        create(replace=True)
    assert len(sandbox.campaigns) == 6


def test_another_audience_in_the_same_place_is_an_error(create: Callable[..., str], audience: str) -> None:
    create()
    write_audience(str(Path(audience).parent), first=500)
    with pytest.raises(OtpiqValidationError, match="was prepared anew from other rows"):
        create()


def test_a_part_that_somebody_edited_does_not_stop_the_others(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    part = Path(audience).parent / "parts" / "00001.json"
    original = part.read_text()
    part.write_text(original.replace(number(3), number(77)))
    with pytest.raises(OtpiqRequestError, match=r"00001.json was changed since it was prepared") as caught:
        create()
    assert "1 of 3 campaigns were refused" in str(caught.value)
    with pytest.raises(OtpiqValidationError, match="1 of 3 campaigns do not hold their part yet: 00001"):
        start()
    part.write_text(original)
    create()
    start()
    assert messaged(sandbox) == everybody()


def test_a_part_that_is_edited_between_two_tries_leaves_its_draft_alone(
    create: Callable[..., str], sandbox: Sandbox, audience: str
) -> None:
    sandbox.arm("attach", status=429, headers={"Retry-After": "600"})
    with pytest.raises(OtpiqRateLimitError):
        create()
    (Path(audience).parent / "parts" / "00000.json").write_text("[]")
    for _ in range(2):
        with pytest.raises(OtpiqRequestError, match=r"00000.json was changed since it was prepared"):
            create()
    assert len(sandbox.campaigns) == 3


def test_fewer_recipients_than_were_attached_are_warned_of_and_counted(
    create: Callable[..., str], context: dict[str, Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"totalRecipients": 2, "estimatedTotalCost": 24}
    sandbox.arm("attach", status=200, body={"success": True, "data": data}, when="after")
    create()
    assert "holds 2 of the 3 recipients of part 00000" in caplog.text
    assert pushed(context)["broadcast"] == {"campaigns": 3, "recipients": 8, "estimated_cost": 8 * 12}


def test_what_otpiq_refuses_does_not_stop_the_others(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    sandbox.arm("attach", status=400, body={"error": "Zaynab is blocked"})
    with pytest.raises(OtpiqRequestError, match="1 of 3 campaigns were refused; the others are done") as caught:
        create()
    assert "part 00000: POST /whatsapp/campaigns/" in str(caught.value)
    assert "••• is blocked" in str(caught.value)
    before = len(sandbox.campaigns)
    create()
    assert len(sandbox.campaigns) == before  # the draft is taken up again
    sandbox.arm("update", status=400, body={"error": "Not today"}, times=2)
    with pytest.raises(OtpiqRequestError, match="Not today"):
        start()
    start()
    assert messaged(sandbox) == everybody()


def test_an_error_lists_some_of_many_that_are_refused(
    create: Callable[..., str], sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = write_audience(f"{tmp_path}/many", parts=25, part_size=1)
    sandbox.arm("attach", status=400, body={"error": "Not today"}, times=25)
    with pytest.raises(OtpiqRequestError, match="25 of 25 campaigns were refused") as caught:
        create(audience=many)
    assert str(caught.value).count("Not today") == 20
    assert "and 5 more, which the log has" in str(caught.value)
    assert caplog.text.count("Refused: part") == 25


def test_a_429_ends_the_try_and_the_next_one_carries_on(
    create: Callable[..., str], start: Callable[..., str], context: dict[str, Any], sandbox: Sandbox
) -> None:
    create(shard=0, shards=3)
    sandbox.arm("attach", status=429, headers={"Retry-After": "600"})
    with pytest.raises(OtpiqRateLimitError) as caught:
        create()
    assert caught.value.retry_after == 600
    create()
    assert len(sandbox.campaigns) == 3
    sandbox.arm("update", status=429, headers={"Retry-After": "600"})
    with pytest.raises(OtpiqRateLimitError):
        start()
    start()
    assert messaged(sandbox) == everybody()


def test_recipients_that_somebody_else_attached_are_not_messaged(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, sandbox_hook: OtpiqHook
) -> None:
    sandbox.arm("attach", connection="drop", times=2)
    with pytest.raises(OtpiqConnectionError, match="attach"):
        create()
    draft = sandbox.campaigns[0]["_id"]
    sandbox_hook.attach_recipients(
        campaign_id=draft,
        recipients=[{"phoneNumber": "9647801234567", "templateParameters": {"body": {"1": "Ali"}}}],
    )
    create()
    start()
    assert messaged(sandbox) == everybody()
    assert sandbox.campaigns[0]["status"] == "draft"


@pytest.mark.parametrize("odd", ["three", -1, None, True])
def test_odd_numbers_in_a_response_are_read_back(
    create: Callable[..., str], context: dict[str, Any], sandbox: Sandbox, odd: object
) -> None:
    body = {"success": True, "data": {"totalRecipients": odd, "estimatedTotalCost": odd}}
    sandbox.arm("attach", status=200, body=body, when="after")
    create()
    assert pushed(context)["broadcast"] == {"campaigns": 3, "recipients": 9, "estimated_cost": 9 * 12}


def test_the_cost_is_read_back_where_the_attach_does_not_tell_it(
    create: Callable[..., str], context: dict[str, Any], sandbox: Sandbox
) -> None:
    sandbox.arm("attach", status=200, body={"success": True, "data": {}}, when="after", times=3)
    create()
    assert pushed(context)["broadcast"]["estimated_cost"] == 9 * 12
    assert sent(sandbox)[-1] == "PATCH {_id}"


def test_a_cost_that_otpiq_does_not_tell_is_none_and_warned_of(
    create: Callable[..., str],
    start: Callable[..., str],
    context: dict[str, Any],
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = next(Path(create()).rglob("campaigns/00000.json"))
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"estimated_cost": None}))
    create()
    assert pushed(context)["broadcast"]["estimated_cost"] is None
    start()
    assert "they cannot be compared" in caplog.text


def test_a_ledger_that_somebody_edited_is_an_error(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    entry = next(Path(create()).rglob("campaigns/00001.json"))
    entry.write_text(entry.read_text().replace('"campaign_id"', '"id"'))
    for run in (create, start):
        with pytest.raises(OtpiqValidationError, match=r"campaigns/00001.json: was changed, or is of another version"):
            run()
    assert not messaged(sandbox)
