import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.docs.versions import documented
from tests.fakes import CAMPAIGN_ID, CREATE, tomorrow
from tests.phone_numbers import ABROAD, AMBIGUOUS, SPELLINGS

Guard = Callable[..., "Guarded"]

TEAM = "9647701234567"
STRANGER = "9647809999999"


def rails(**extras: Any) -> GuardRails:
    connection = Connection(
        conn_id="otpiq_staging", conn_type="otpiq", password="sk_dev_staging", extra=json.dumps(extras)
    )
    return GuardRails.from_connection("otpiq_staging", ConnectionSettings.from_connection(connection).extra)


# What a connection sets


@pytest.mark.parametrize(
    ("allowed", "prefixes"),
    [
        (["+964"], ("964",)),
        ([9647701234567, "00964 771"], (TEAM, "964771")),
        (" 964770, 0780 123 4567 ,00964-751", ("964770", "9647801234567", "964751")),
        ("9647701234", ("9647701234",)),
        ("999999999999999", ("999999999999999",)),  # as long as a number can be
    ],
)
def test_numbers_and_prefixes_may_be_in_any_spelling(allowed: Any, prefixes: tuple[str, ...]) -> None:
    assert rails(allowed_recipients=allowed).allowed_recipients == prefixes


def test_numbers_are_parsed_like_those_of_recipients() -> None:
    spellings = [spelling for spelling in SPELLINGS if isinstance(spelling, str | int | float)]
    assert set(rails(allowed_recipients=spellings).allowed_recipients or ()) == {TEAM}
    abroad, digits = zip(*ABROAD, strict=True)
    assert rails(allowed_recipients=list(abroad)).allowed_recipients == digits


@pytest.mark.parametrize("written", AMBIGUOUS)
def test_an_ambiguous_number_is_refused(written: str) -> None:
    with pytest.raises(OtpiqConfigurationError):
        rails(allowed_recipients=written)


@pytest.mark.parametrize(("value", "limit"), [(1000, 1000), ("50", 50), (50.0, 50)])
def test_max_recipients_may_be_a_string_as_in_a_uri(value: Any, limit: int) -> None:
    assert rails(max_recipients=value, allowed_recipients=None) == GuardRails(max_recipients=limit)


NOT_A_LIST: list[Any] = [
    *("", ",", "964,", "all", "+", "0770", "['964']"),
    *([], {"964": True}, 964),
]
NOT_A_NUMBER: list[Any] = [None, "", True, 1.5, [], "9999999999999999", -964]
NOT_A_COUNT: list[Any] = ["", 0, 1001, True, "many", [], 1.5, "nan"]


@pytest.mark.parametrize(
    "extras",
    [
        *({"allowed_recipients": value} for value in NOT_A_LIST),
        *({"allowed_recipients": [value]} for value in NOT_A_NUMBER),
        *({"max_recipients": value} for value in NOT_A_COUNT),
        *({"max_broadcast_recipients": value} for value in (0, True, "many")),
    ],
    ids=str,
)
def test_an_invalid_guard_rail_fails_closed(extras: dict[str, Any]) -> None:
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(**extras)
    (name,) = extras
    assert f"'otpiq_staging' are invalid, so it sends no messages:\n  - {name}: " in str(caught.value)


def test_all_errors_are_listed(snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(allowed_recipients="", max_recipients=0, max_broadcast_recipients=True, quiet_hours="night")
    assert str(caught.value) == snapshot
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(allowed_recipients="+964 770 123 4567, team")
    assert str(caught.value) == snapshot


def test_a_uri_can_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    uri = "otpiq://:sk_live_0123@localhost:8484/api?allowed_recipients=%2B964770,0780+123+4567&max_recipients=5"
    uri += "&max_broadcast_recipients=50&quiet_hours=21:00-09:00%20Asia/Baghdad"
    monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_URI", uri)
    assert OtpiqHook("otpiq_uri").guard_rails == GuardRails(
        allowed_recipients=["964770", "9647801234567"],
        max_recipients=5,
        max_broadcast_recipients=50,
        quiet_hours="21:00-09:00 Asia/Baghdad",
    )


@pytest.mark.parametrize(("recipients", "limit"), [(5001, "max_broadcast_recipients"), (4999, "max_recipients")])
def test_a_broadcast_over_a_limit_is_refused(recipients: int, limit: str, snapshot: SnapshotAssertion) -> None:
    rails(max_broadcast_recipients=5000, max_recipients=1000).check_broadcast(5000, 1000)
    rails().check_broadcast(10**9, 1000)
    with pytest.raises(OtpiqValidationError) as caught:
        rails(max_broadcast_recipients="5000", max_recipients=500).check_broadcast(recipients, 501)
    assert f"connection's {limit} " in caught.value.errors[0]
    assert str(caught.value) == snapshot


# Over a connection


class Guarded(NamedTuple):
    """A hook with guard rails, a campaign, and the three calls that reach people."""

    hook: OtpiqHook
    campaign_id: str
    calls: dict[str, Callable[..., Any]]


naming_people = pytest.mark.parametrize("call", ["attach", "sample"])


@pytest.fixture
def guarded(connect_sandbox: Callable[..., OtpiqHook]) -> Guard:
    def guarded(**extras: Any) -> Guarded:
        free = connect_sandbox()
        campaign_id = free.create_campaign(**CREATE)["_id"]
        free.attach_recipients(campaign_id=campaign_id, recipients=["9647701111111"])
        hook = connect_sandbox(**extras)
        calls = {
            "attach": lambda *to: hook.attach_recipients(campaign_id=campaign_id, recipients=to),
            "sample": lambda *to: hook.send_sample(campaign_id=campaign_id, recipients=to),
            "start": lambda *to: hook.start_campaign(campaign_id=campaign_id),
        }
        return Guarded(hook, campaign_id, calls)

    return guarded


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    return sandbox.requests[2:]  # after those that have made the campaign


SCHEDULE: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": tomorrow()}
schedules = pytest.mark.parametrize("schedule", [SCHEDULE, {"scheduled_for": tomorrow()}])


@pytest.mark.parametrize(
    "extras",
    [{"allowed_recipients": ""}, {"quiet_hours": "night"}, {"max_recipient": 5}],  # which is misspelled
)
def test_an_invalid_guard_rail_refuses_every_call_that_reaches_people(
    guarded: Guard, sandbox: Sandbox, extras: dict[str, Any]
) -> None:
    hook, campaign_id, calls = guarded(**extras)
    scheduled: list[Callable[..., Any]] = [
        lambda _: hook.create_campaign(**CREATE, **SCHEDULE),
        lambda _: hook.update_campaign(campaign_id=campaign_id, **SCHEDULE),
        lambda _: hook.update_campaign(campaign_id=campaign_id, scheduled_for=tomorrow()),
    ]
    for call in (*calls.values(), *scheduled):
        with pytest.raises(OtpiqConfigurationError):
            call(TEAM)
    assert sent(sandbox) == []
    works, message = hook.test_connection()
    assert not works
    if "max_recipient" in extras:
        assert "extra: unknown 'max_recipient'" in message
        with pytest.raises(OtpiqConfigurationError):
            hook.create_campaign(**CREATE)
    else:
        assert f"- {next(iter(extras))}: " in message
        assert hook.create_campaign(**CREATE)  # which reaches nobody
        hook.update_campaign(campaign_id=campaign_id, name="Winter", schedule_type="now")


@naming_people
@pytest.mark.parametrize("allowed", ["+964770", ["0770 123 4567"]])
def test_only_allowed_recipients_are_reached(guarded: Guard, sandbox: Sandbox, call: str, allowed: Any) -> None:
    hook, campaign_id, calls = guarded(allowed_recipients=allowed)
    with pytest.raises(OtpiqValidationError) as caught:
        calls[call](TEAM, {"phoneNumber": STRANGER, "reference": "C-1042"})
    assert caught.value.errors == ("recipients[1] (reference 'C-1042', 964780•••9999)",)
    with pytest.raises(OtpiqValidationError):
        hook.check_recipients(campaign_id=campaign_id, recipients=[STRANGER], on_invalid="skip")
    assert sent(sandbox) == []
    calls[call]("0770 123 4567")
    assert sandbox.requests[-1]["status"] < 300


def test_recipients_that_another_connection_has_checked_are_checked_again(
    guarded: Guard, connect_sandbox: Callable[..., OtpiqHook]
) -> None:
    hook, campaign_id, _ = guarded(allowed_recipients="964770")
    assert hook.guard_rails.allowed_recipients
    free = connect_sandbox()
    checked = free.check_recipients(campaign_id=campaign_id, recipients=[STRANGER])
    with pytest.raises(OtpiqValidationError):
        hook.attach_recipients(campaign_id=campaign_id, recipients=checked)


class Disguised(str):
    """A string that presents itself as an allowed number."""

    def startswith(self, *args: Any) -> bool:
        return True

    def __str__(self) -> str:
        return TEAM

    def replace(self, *args: Any) -> str:
        return TEAM


@pytest.mark.parametrize("number", [STRANGER, "0780 999 9999"])
def test_a_subclass_of_str_does_not_bypass_allowed_recipients(guarded: Guard, sandbox: Sandbox, number: str) -> None:
    _, _, calls = guarded(allowed_recipients=[TEAM])
    for recipient in (Disguised(number), {"phoneNumber": Disguised(number)}):
        with pytest.raises(OtpiqValidationError):
            calls["attach"](recipient)
    assert sent(sandbox) == []


@naming_people
def test_max_recipients_are_reached_at_most(
    guarded: Guard, sandbox: Sandbox, call: str, snapshot: SnapshotAssertion
) -> None:
    hook, campaign_id, calls = guarded(max_recipients=2)
    with pytest.raises(OtpiqValidationError) as caught:
        calls[call]("9647700000001", "9647700000002", "9647700000003")
    assert sent(sandbox) == []
    assert str(caught.value) == snapshot(name="error")
    rows = ["9647700000001", "nobody", "9647700000002", "nobody"]
    assert len(hook.check_recipients(campaign_id=campaign_id, recipients=rows, on_invalid="skip")) == 2
    if call == "sample":
        assert calls[call]("9647700000001", "9647700000002")["totalRecipients"] == 2


def test_several_attaches_that_exceed_max_recipients_are_an_error(guarded: Guard, snapshot: SnapshotAssertion) -> None:
    _, campaign_id, calls = guarded(max_recipients=2)
    assert calls["attach"]("9647700000001")["totalRecipients"] == 2
    with pytest.raises(OtpiqValidationError) as caught:
        calls["attach"]("9647700000002")
    assert len(caught.value.errors) == 1
    assert str(caught.value).replace(campaign_id, CAMPAIGN_ID) == snapshot


def quiet_from(start: pendulum.DateTime) -> str:
    """Two hours of every day, from a time on."""
    return f"{start:%H:%M}-{start.add(hours=2):%H:%M} UTC"


def quiet_now() -> str:
    return quiet_from(pendulum.now("UTC").subtract(hours=1))


def not_quiet_now() -> str:
    return quiet_from(pendulum.now("UTC").add(hours=6))


@pytest.mark.parametrize("call", ["sample", "start"])
def test_in_quiet_hours_nothing_is_sent(guarded: Guard, sandbox: Sandbox, call: str) -> None:
    _, _, calls = guarded(quiet_hours=quiet_now())
    with pytest.raises(OtpiqValidationError) as caught:
        calls[call](TEAM)
    assert caught.value.errors[0].startswith(f"the {call}: ")
    assert sent(sandbox) == []
    assert calls["attach"](TEAM)["totalRecipients"] == 2
    _, campaign_id, calls = guarded(quiet_hours=not_quiet_now())
    assert campaign_id in (calls[call](TEAM)["_id"], sandbox.campaigns[-1]["sampleOfCampaign"])


@schedules
def test_no_campaign_is_rescheduled_into_quiet_hours(
    guarded: Guard, sandbox: Sandbox, schedule: dict[str, Any]
) -> None:
    hook, campaign_id, _ = guarded(quiet_hours=quiet_from(tomorrow()))
    with pytest.raises(OtpiqValidationError) as caught:
        hook.update_campaign(campaign_id=campaign_id, **schedule)
    assert caught.value.errors[0].startswith("scheduled_for: ")
    assert sent(sandbox) == []
    hook.update_campaign(campaign_id=campaign_id, **schedule | {"scheduled_for": tomorrow().add(hours=2, minutes=1)})


def test_no_campaign_is_created_that_starts_in_quiet_hours(guarded: Guard, sandbox: Sandbox) -> None:
    hook, _, _ = guarded(quiet_hours=quiet_from(tomorrow()))
    with pytest.raises(OtpiqValidationError) as caught:
        hook.create_campaign(name="Summer", template_name="order_update", phone_number="0770 123 4567", **SCHEDULE)
    assert caught.value.errors[0].startswith("scheduled_for: ")
    assert sent(sandbox) == []
    hook.create_campaign(**CREATE, **SCHEDULE | {"scheduled_for": tomorrow().subtract(minutes=1)})
    hook.create_campaign(**CREATE)


def test_a_campaigns_own_time_may_be_in_quiet_hours(
    guarded: Guard, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    hook, campaign_id, _ = guarded(quiet_hours=not_quiet_now())
    with pytest.raises(OtpiqValidationError) as caught:
        hook.update_campaign(campaign_id=campaign_id, schedule_type="schedule")
    assert str(caught.value) == snapshot
    assert sent(sandbox) == []
    hook.update_campaign(campaign_id=campaign_id, name="Winter", schedule_type="now")


def test_extras_that_are_not_an_object_refuse_everything(connect: Callable[..., OtpiqHook]) -> None:
    hook = connect(extra=json.dumps(["allowed_recipients"]))
    is_named = documented("an extra of the connection that is not a JSON object")
    with pytest.raises(OtpiqConfigurationError if is_named else AirflowNotFoundException):
        hook.start_campaign(campaign_id=CAMPAIGN_ID)
