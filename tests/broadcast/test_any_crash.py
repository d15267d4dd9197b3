"""Whatever dies, and whatever another process does meanwhile: each person is in exactly one campaign that starts."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
import time_machine

from airflow_provider_otpiq._broadcast.create import BroadcastDrafts
from airflow_provider_otpiq._broadcast.start import BroadcastStart
from airflow_provider_otpiq._models.broadcasts import CreateBroadcast, StartBroadcast
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqRateLimitError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from tests.broadcast.people import TEMPLATE, HookAt, KilledError, everybody, killed, messaged, write_audience

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

PARTS = 2
# Before and after: three reads, then create and attach of each part; at the start a read, then a schedule of each part.
MOMENTS_OF_CREATE = range(2 * (3 + 2 * PARTS))
MOMENTS_OF_START = range(2 * (1 + PARTS))


@pytest.fixture
def audience(tmp_path: Path) -> str:
    return write_audience(str(tmp_path), parts=PARTS)


def create(hook: Any, audience: str, name: str = "Summer offer", *, replace: bool = False) -> None:
    request = CreateBroadcast.parse(audience=audience, name=name, **TEMPLATE)
    BroadcastDrafts(hook, request, replace=replace).create()


def start(hook: Any, audience: str, **fields: Any) -> None:
    fields = {"lead_time": timedelta(minutes=10), "max_delay": timedelta(minutes=30), **fields}
    request = StartBroadcast.parse(broadcast=str(Path(audience).parent / "ledger"), **fields)
    BroadcastStart(hook, request, replace=False).schedule()


@pytest.mark.parametrize("moment", MOMENTS_OF_CREATE)
def test_a_create_that_dies_at_any_moment_is_carried_on(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    with pytest.raises(KilledError):
        create(HookAt(sandbox_hook, moment, killed), audience)
    create(sandbox_hook, audience)
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)
    assert len(sandbox.campaigns) <= PARTS + 1  # at most a single empty draft stays behind


@pytest.mark.parametrize("moment", MOMENTS_OF_START)
def test_a_start_that_dies_at_any_moment_is_carried_on(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    create(sandbox_hook, audience)
    with pytest.raises(KilledError):
        start(HookAt(sandbox_hook, moment, killed), audience)
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", MOMENTS_OF_START)
def test_where_the_time_passes_between_two_tries_nobody_gets_it_twice(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    create(sandbox_hook, audience)
    with pytest.raises(KilledError):
        start(HookAt(sandbox_hook, moment, killed), audience)
    with time_machine.travel(timedelta(minutes=11)):  # for the sandbox too
        start(sandbox_hook, audience)
        assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", MOMENTS_OF_CREATE)
def test_another_process_creates_all_of_it_at_any_moment(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    hook = HookAt(sandbox_hook, moment, lambda: create(sandbox_hook, audience))
    create(hook, audience)
    assert hook.happened
    assert len([campaign for campaign in sandbox.campaigns if campaign["totalRecipients"]]) == PARTS
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)


def test_a_create_that_goes_on_after_another_has_finished_undoes_nothing(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str
) -> None:
    def create_all_of_it() -> None:
        create(sandbox_hook, audience)
        sandbox.arm("attach", status=400, body={"error": "No"})  # so that the draft is given up
        sandbox.arm("attach", status=429, headers={"Retry-After": "600"})

    sandbox.arm("attach", status=429, headers={"Retry-After": "600"})
    with pytest.raises(OtpiqRateLimitError):
        create(sandbox_hook, audience)
    with pytest.raises(OtpiqRateLimitError):
        create(HookAt(sandbox_hook, 0, create_all_of_it), audience)
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", MOMENTS_OF_CREATE)
def test_another_process_creates_and_starts_all_of_it_at_any_moment_of_a_create(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    def all_of_it() -> None:
        create(sandbox_hook, audience)
        start(sandbox_hook, audience)

    hook = HookAt(sandbox_hook, moment, all_of_it)
    create(hook, audience)
    assert hook.happened
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", MOMENTS_OF_START)
def test_another_process_starts_all_of_it_at_any_moment(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    create(sandbox_hook, audience)
    hook = HookAt(sandbox_hook, moment, lambda: start(sandbox_hook, audience))
    start(hook, audience)
    assert hook.happened
    assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", range(6))
def test_an_audience_that_is_prepared_anew_before_the_first_campaign_has_none(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    hook = HookAt(sandbox_hook, moment, lambda: write_audience(str(Path(audience).parent), first=500))
    with pytest.raises(OtpiqValidationError, match="was prepared anew this very moment"):
        create(hook, audience)
    assert not sandbox.campaigns


@pytest.mark.parametrize("moment", [0, 1])
def test_a_broadcast_that_is_replaced_while_it_starts_is_not_scheduled(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    create(sandbox_hook, audience)
    replace = HookAt(sandbox_hook, moment, lambda: create(sandbox_hook, audience, "Autumn offer", replace=True))
    with pytest.raises(OtpiqValidationError, match="was replaced this very moment"):
        start(replace, audience)
    start(sandbox_hook, audience)
    assert messaged(sandbox) == everybody(PARTS)
    assert {each["name"][:6] for each in sandbox.campaigns if each["status"] != "draft"} == {"Autumn"}


@pytest.mark.parametrize("moment", [0, 1])
def test_shards_that_start_at_once_agree_on_the_time(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    def start_the_other() -> None:
        start(sandbox_hook, audience, shard=1, shards=2, lead_time=timedelta(minutes=20))

    create(sandbox_hook, audience)
    start(HookAt(sandbox_hook, moment, start_the_other), audience, shard=0, shards=2)
    assert messaged(sandbox) == everybody(PARTS)
    assert len({campaign["scheduledFor"] for campaign in sandbox.campaigns}) == 1


@pytest.mark.parametrize("moment", MOMENTS_OF_START)
def test_of_two_campaigns_of_a_part_one_starts(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    def start_other_campaigns() -> None:
        # As if each draft had been given up: that the start has begun is kept aside, or the create would be refused.
        folder = Path(audience).parent
        begun = {record: record.read_bytes() for record in folder.rglob("start.json")}
        for record in [*begun, *folder.rglob("campaigns/*.json")]:
            record.unlink()
        create(sandbox_hook, audience)
        for record, content in begun.items():
            record.write_bytes(content)
        start(sandbox_hook, audience)

    create(sandbox_hook, audience)
    hook = HookAt(sandbox_hook, moment, start_other_campaigns)
    start(hook, audience)
    assert hook.happened
    assert messaged(sandbox) == everybody(PARTS)


@pytest.mark.parametrize("moment", MOMENTS_OF_START)
def test_a_process_that_is_too_late_leaves_nobody_out_whom_another_schedules(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, moment: int
) -> None:
    create(sandbox_hook, audience)
    for shard in range(PARTS):
        with pytest.raises(KilledError):
            start(HookAt(sandbox_hook, 2, killed), audience, shard=shard, shards=PARTS)
    with time_machine.travel(timedelta(minutes=45)):
        later = timedelta(hours=2)  # as the error about the delay says
        with suppress(OtpiqRequestError):
            start(HookAt(sandbox_hook, moment, lambda: start(sandbox_hook, audience, max_delay=later)), audience)
        start(sandbox_hook, audience, max_delay=later)
        assert messaged(sandbox) == everybody(PARTS)


FAULTS: list[dict[str, Any]] = [
    {"connection": "drop"},
    {"connection": "drop", "when": "after"},
    {"connection": "cut"},
    {"status": 500, "when": "after"},
    {"status": 400, "body": {"error": "No"}, "when": "after"},
    {"status": 400, "body": {"error": "No"}},
    {"status": 404, "body": {"message": "Campaign not found"}, "when": "after"},
    {"status": 409, "body": {"error": "No"}},
    {"status": 429, "headers": {"Retry-After": "120"}},
    {"status": 401, "when": "after"},
    {"status": 200, "body": {"success": True}, "when": "after"},
    {"status": 200, "body": {"success": True}},
]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("call", ["create", "attach", "update", "info", "payload", "resources"])
def test_a_fault_of_any_call_leaves_nobody_out_and_nobody_twice(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str, sleep_calls: list[float],
    call: str, fault: dict[str, Any], times: int,
) -> None:  # fmt: skip
    sandbox.arm(call, times=times, **fault)
    for _ in range(8):
        try:
            create(sandbox_hook, audience)
            start(sandbox_hook, audience)
        except OtpiqApiError:
            continue
        break
    assert messaged(sandbox) == everybody(PARTS)


def test_of_two_starts_with_different_times_at_once_one_decides(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, audience: str
) -> None:
    create(sandbox_hook, audience)
    first, second = (pendulum.now("UTC").add(hours=hours).start_of("second") for hours in (2, 3))
    hook = HookAt(sandbox_hook, 1, lambda: start(sandbox_hook, audience, scheduled_for=first))
    with pytest.raises(OtpiqValidationError, match="scheduled_for was"):
        start(hook, audience, scheduled_for=second)
    assert messaged(sandbox) == everybody(PARTS)
    assert {campaign["scheduledFor"] for campaign in sandbox.campaigns} == {to_api_format(first)}
