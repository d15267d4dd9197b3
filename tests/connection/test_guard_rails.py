from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection

from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError
from tests.docs.versions import documented
from tests.fakes import CAMPAIGN_ID, CREATE, tomorrow
from tests.phone_numbers import ABROAD, AMBIGUOUS, SPELLINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

TEAM = "9647701234567"
STRANGER = "9647809999999"


def rails(**extras: Any) -> GuardRails:
    connection = Connection(
        conn_id="otpiq_staging", conn_type="otpiq", password="sk_dev_staging", extra=json.dumps(extras)
    )
    return GuardRails.from_connection("otpiq_staging", ConnectionSettings.from_connection(connection).extra)


@pytest.mark.parametrize(
    ("allowed", "prefixes"),
    [
        (["+964 770 123 4567"], (TEAM,)),
        ([9647701234567, "00964 771"], (TEAM, "964771")),
        ("+964770", ("964770",)),
        (" 964770, 0780 123 4567 ,00964-751", ("964770", "9647801234567", "964751")),
        ("٠٧٧٠ ١٢٣ ٤٥٦٧", (TEAM,)),
        ("7701234567", (TEAM,)),  # a spreadsheet has taken the zero
        ("9647701234", ("9647701234",)),
        ("999999999999999", ("999999999999999",)),  # as long as a number can be
    ],
)
def test_numbers_and_prefixes_are_read_as_people_write_them(allowed: Any, prefixes: tuple[str, ...]) -> None:
    assert rails(allowed_recipients=allowed).allowed_recipients == prefixes


@pytest.mark.parametrize("written", [spelling for spelling in SPELLINGS if isinstance(spelling, str | int | float)])
def test_a_number_is_read_as_those_of_recipients_are(written: Any) -> None:
    assert rails(allowed_recipients=[written]).allowed_recipients == (TEAM,)


@pytest.mark.parametrize(("written", "digits"), ABROAD)
def test_a_number_abroad_is_read_as_those_of_recipients_are(written: str, digits: str) -> None:
    assert rails(allowed_recipients=[written]).allowed_recipients == (digits,)


@pytest.mark.parametrize("written", AMBIGUOUS)
def test_an_ambiguous_number_does_not_allow_strangers(written: str) -> None:
    with pytest.raises(OtpiqConfigurationError, match=r"allowed_recipients: has an entry that (has further|ends with)"):
        rails(allowed_recipients=written)


def test_a_blank_field_of_the_form_is_no_guard_rail() -> None:
    assert rails(allowed_recipients=None, max_recipients=None, read_timeout=5) == GuardRails()


@pytest.mark.parametrize(("value", "limit"), [(1, 1), (1000, 1000), ("50", 50), (50.0, 50)])
def test_max_recipients_may_be_a_string_as_in_a_uri(value: Any, limit: int) -> None:
    assert rails(max_recipients=value).max_recipients == limit


NO_LIST: list[Any] = [
    "",
    " ",
    ",",
    "964,",
    "all",
    "*",
    "+",
    "0770",
    "None",
    "['964']",
    [],
    {},
    {"964": True},
    964,
    True,
]
NO_NUMBER: list[Any] = [None, "", True, 1.5, [], "staff@example.com", "9999999999999999", -964, 0]
NO_COUNT: list[Any] = ["", 0, -1, 1001, True, False, "many", "None", [], 1.5, "nan"]
BROKEN: list[dict[str, Any]] = [
    *({"allowed_recipients": value} for value in NO_LIST),
    *({"allowed_recipients": [value]} for value in NO_NUMBER),
    *({"max_recipients": value} for value in NO_COUNT),
    *({"max_broadcast_recipients": value} for value in NO_COUNT if value != 1001),
    {"allowedRecipients": "964"},
    {"allowed_recipient": "964"},
    {"allowed_recpients": "964"},
    {"allow_recipients": None},
    {"extra__otpiq__allowed_recipients": "964"},
    {"MAX_RECIPIENTS": 5},
    {"max-recipients": 5},
    {"max_recepients": 5},
    {"recipients": 5},
    {"recipient_list": "964"},
    {"whitelist": "964"},
    {"allowlist": "964"},
    {"allowed": "964"},
    {"permitted": "964"},
    {"max": 5},
]


@pytest.mark.parametrize(
    "extras",
    [
        {"extra": {"allowed_recipients": "964"}},
        {"extra": '{"allowed_recipients": "964"}'},
        {"otpiq": {"guards": {"max_recipients": 1}}},
    ],
    ids=str,
)
def test_a_guard_rail_that_stands_too_deep_fails_closed(extras: dict[str, Any]) -> None:
    with pytest.raises(OtpiqConfigurationError, match=r"known are .*'allowed_recipients'.*'max_recipients'"):
        rails(**extras)


@pytest.mark.parametrize("extras", BROKEN, ids=str)
def test_what_cannot_be_understood_fails_closed(extras: dict[str, Any]) -> None:
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(**extras)
    (name,) = extras
    assert "'otpiq_staging'" in str(caught.value)
    assert name in str(caught.value)


def test_all_validation_errors_are_listed() -> None:
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(allowed_recipients="", max_recipients=0)
    assert str(caught.value).count("\n  - ") == 2


@pytest.mark.parametrize("extras", [{}, {"read_timeout": 5}, {"max_retries": 1}, {"allow_insecure_http": True}])
def test_other_extras_are_none_of_its_business(extras: dict[str, Any]) -> None:
    assert rails(**extras) == GuardRails()


# Over a connection


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    return sandbox.requests[2:]  # after those that have made the campaign


@pytest.fixture
def guarded(
    sandbox: Sandbox, connect: Callable[..., OtpiqHook]
) -> Callable[..., tuple[OtpiqHook, str, dict[str, Callable[..., Any]]]]:
    """Make a hook with guard rails, a campaign, and the three calls that reach people."""

    def guarded(**extras: Any) -> tuple[OtpiqHook, str, dict[str, Callable[..., Any]]]:
        free = connect(host=sandbox.url, password=sandbox.api_key)
        campaign_id = free.create_campaign(**CREATE)["_id"]
        free.attach_recipients(campaign_id=campaign_id, recipients=["9647701111111"])
        hook = connect(host=sandbox.url, password=sandbox.api_key, extra=extras)
        calls = {
            "attach": lambda *to: hook.attach_recipients(campaign_id=campaign_id, recipients=to),
            "sample": lambda *to: hook.send_sample(campaign_id=campaign_id, recipients=to),
            "start": lambda *to: hook.start_campaign(campaign_id=campaign_id),
        }
        return hook, campaign_id, calls

    return guarded


@pytest.mark.parametrize("call", ["attach", "sample", "start"])
@pytest.mark.parametrize(
    "extras", [{"allowed_recipients": ""}, {"max_recipients": 0}, {"quiet_hours": ""}, {"max_broadcast_recipients": 0}]
)
def test_a_broken_guard_rail_refuses_every_call_that_reaches_people(
    guarded: Callable[..., Any], sandbox: Sandbox, call: str, extras: dict[str, Any]
) -> None:
    hook, _, calls = guarded(**extras)
    with pytest.raises(OtpiqConfigurationError, match="nobody is messaged over it"):
        calls[call](TEAM)
    assert sent(sandbox) == []
    assert hook.create_campaign(**CREATE)  # which reaches nobody


@pytest.mark.parametrize("call", ["attach", "sample", "start"])
def test_a_misspelt_guard_rail_refuses_every_call(guarded: Callable[..., Any], sandbox: Sandbox, call: str) -> None:
    hook, campaign_id, calls = guarded(max_recipient=5)
    refusal = "unknown 'max_recipient'; known are"
    with pytest.raises(OtpiqConfigurationError, match=refusal):
        calls[call](TEAM)
    with pytest.raises(OtpiqConfigurationError, match=refusal):
        hook.create_campaign(**CREATE)
    with pytest.raises(OtpiqConfigurationError, match=refusal):
        hook.update_campaign(campaign_id=campaign_id, name="Winter")
    assert sent(sandbox) == []


@pytest.mark.parametrize(
    "schedule", [{"schedule_type": "schedule", "scheduled_for": tomorrow()}, {"scheduled_for": tomorrow()}]
)
def test_a_broken_guard_rail_refuses_to_let_a_campaign_start_by_itself(
    guarded: Callable[..., Any], sandbox: Sandbox, schedule: dict[str, Any]
) -> None:
    hook, campaign_id, _ = guarded(allowed_recipients="")
    with pytest.raises(OtpiqConfigurationError, match="nobody is messaged over it"):
        hook.update_campaign(campaign_id=campaign_id, **schedule)
    assert sent(sandbox) == []
    hook.update_campaign(campaign_id=campaign_id, name="Winter", schedule_type="now")


@pytest.mark.parametrize("call", ["attach", "sample"])
@pytest.mark.parametrize("allowed", ["+964770", ["0770 123 4567"]])
def test_only_who_is_allowed_is_reached(guarded: Callable[..., Any], sandbox: Sandbox, call: str, allowed: Any) -> None:
    hook, campaign_id, calls = guarded(allowed_recipients=allowed)
    with pytest.raises(OtpiqValidationError, match="1 of 2 recipients are not among") as caught:
        calls[call](TEAM, STRANGER)
    assert caught.value.errors == ("recipients[1] (964780•••9999)",)
    with pytest.raises(OtpiqValidationError, match="1 of 1 recipients are not among"):
        hook.check_recipients(campaign_id=campaign_id, recipients=[STRANGER], on_invalid="skip")
    assert sent(sandbox) == []
    calls[call]("0770 123 4567")
    assert sandbox.requests[-1]["status"] < 300


def test_what_another_connection_has_checked_is_checked_again(
    guarded: Callable[..., Any], sandbox: Sandbox, connect: Callable[..., OtpiqHook]
) -> None:
    hook, campaign_id, _ = guarded(allowed_recipients="964770")
    assert hook.guard_rails.allowed_recipients
    free = connect(host=sandbox.url, password=sandbox.api_key)
    checked = free.check_recipients(campaign_id=campaign_id, recipients=[STRANGER])
    with pytest.raises(OtpiqValidationError, match="not among"):
        hook.attach_recipients(campaign_id=campaign_id, recipients=checked)


@pytest.mark.parametrize("call", ["attach", "sample"])
def test_no_more_than_max_recipients_are_reached(guarded: Callable[..., Any], sandbox: Sandbox, call: str) -> None:
    _, _, calls = guarded(max_recipients=2)
    with pytest.raises(OtpiqValidationError, match="recipients: are 3, and the connection's max_recipients is 2"):
        calls[call]("9647700000001", "9647700000002", "9647700000003")
    assert sent(sandbox) == []
    if call == "sample":
        assert calls[call]("9647700000001", "9647700000002")["totalRecipients"] == 2


def test_only_valid_recipients_are_counted(guarded: Callable[..., Any]) -> None:
    hook, campaign_id, _ = guarded(max_recipients=2)
    rows = ["9647700000001", "nobody", "9647700000002", "nobody"]
    assert len(hook.check_recipients(campaign_id=campaign_id, recipients=rows, on_invalid="skip")) == 2


def test_a_campaign_with_too_many_recipients_after_several_attaches_is_an_error(guarded: Callable[..., Any]) -> None:
    _, campaign_id, calls = guarded(max_recipients=2)
    assert calls["attach"]("9647700000001")["totalRecipients"] == 2
    with pytest.raises(OtpiqValidationError, match=f"Campaign {campaign_id} now holds 3 recipients"):
        calls["attach"]("9647700000002")


def test_the_test_button_tells_of_a_broken_guard_rail(connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> None:
    hook = connect(host=sandbox.url, password=sandbox.api_key, extra={"allowed_recipients": []})
    works, said = hook.test_connection()
    assert not works
    assert "allowed_recipients: must be a list" in said


def test_a_uri_can_carry_them(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    address = sandbox.url.removeprefix("http://")
    uri = f"otpiq://:{sandbox.api_key}@{address}?allowed_recipients=%2B964770,0780+123+4567&max_recipients=5"
    uri += "&max_broadcast_recipients=50&quiet_hours=21:00-09:00%20Asia/Baghdad"
    monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_URI", uri)
    assert OtpiqHook("otpiq_uri").guard_rails == GuardRails(
        allowed_recipients=["964770", "9647801234567"],
        max_recipients=5,
        max_broadcast_recipients=50,
        quiet_hours="21:00-09:00 Asia/Baghdad",
    )


@pytest.mark.parametrize(("recipients", "largest_part"), [(5000, 1000), (1, 1)])
def test_a_broadcast_within_its_limits_is_let_through(recipients: int, largest_part: int) -> None:
    rails(max_broadcast_recipients=5000, max_recipients=1000).check_broadcast(recipients, largest_part)
    rails().check_broadcast(10**9, 1000)


@pytest.mark.parametrize(
    ("recipients", "error"),
    [
        (5001, "recipients: of the broadcast are 5001, and the connection's max_broadcast_recipients is 5000"),
        (4999, "recipients: are 501, and the connection's max_recipients is 500"),
    ],
)
def test_no_more_than_max_broadcast_recipients_are_reached(recipients: int, error: str) -> None:
    with pytest.raises(OtpiqValidationError, match=f"{error}; nothing was sent") as caught:
        rails(max_broadcast_recipients="5000", max_recipients=500).check_broadcast(recipients, 501)
    assert caught.value.errors == (error,)


def quiet_from(start: pendulum.DateTime) -> str:
    """Two hours of every day, from a time on."""
    return f"{start:%H:%M}-{start.add(hours=2):%H:%M} UTC"


def quiet_now() -> str:
    return quiet_from(pendulum.now("UTC").subtract(hours=1))


def not_quiet_now() -> str:
    return quiet_from(pendulum.now("UTC").add(hours=6))


@pytest.mark.parametrize("call", ["sample", "start"])
def test_in_quiet_hours_nothing_is_sent(guarded: Callable[..., Any], sandbox: Sandbox, call: str) -> None:
    _, _, calls = guarded(quiet_hours=quiet_now())
    with pytest.raises(OtpiqValidationError, match=f"the {call}: .* is in the connection's quiet_hours .* UTC, which"):
        calls[call](TEAM)
    assert sent(sandbox) == []
    _, campaign_id, calls = guarded(quiet_hours=not_quiet_now())
    assert campaign_id in (calls[call](TEAM)["_id"], sandbox.campaigns[-1]["sampleOfCampaign"])


def test_in_quiet_hours_recipients_are_attached(guarded: Callable[..., Any]) -> None:
    _, _, calls = guarded(quiet_hours=quiet_now())
    assert calls["attach"](TEAM)["totalRecipients"] == 2


class Disguised(str):
    """A string that says of itself what the guard rails would like to hear."""

    def startswith(self, *args: Any) -> bool:
        return True

    def __str__(self) -> str:
        return TEAM

    def replace(self, *args: Any) -> str:
        return TEAM


@pytest.mark.parametrize("number", [STRANGER, f"+{STRANGER}", "0780 999 9999", "+90 532 123 4567"])
@pytest.mark.parametrize("call", ["attach", "sample"])
def test_a_subclass_of_str_is_no_way_around_allowed_recipients(
    guarded: Callable[..., Any], sandbox: Sandbox, call: str, number: str
) -> None:
    _, _, calls = guarded(allowed_recipients=[TEAM])
    for recipient in (Disguised(number), {"phoneNumber": Disguised(number)}):
        with pytest.raises(OtpiqValidationError, match="allowed_recipients"):
            calls[call](recipient)
    assert sent(sandbox) == []


SCHEDULE: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": tomorrow()}


@pytest.mark.parametrize("schedule", [SCHEDULE, {"scheduled_for": tomorrow()}])
def test_no_campaign_is_rescheduled_into_quiet_hours(
    guarded: Callable[..., Any], sandbox: Sandbox, schedule: dict[str, Any]
) -> None:
    hook, campaign_id, _ = guarded(quiet_hours=quiet_from(tomorrow()))
    with pytest.raises(OtpiqValidationError, match=r"scheduled_for: .* is in the connection's quiet_hours"):
        hook.update_campaign(campaign_id=campaign_id, **schedule)
    assert sent(sandbox) == []
    hook.update_campaign(campaign_id=campaign_id, **schedule | {"scheduled_for": tomorrow().add(hours=2, minutes=1)})


def test_no_campaign_is_created_that_starts_in_quiet_hours(guarded: Callable[..., Any], sandbox: Sandbox) -> None:
    hook, _, _ = guarded(quiet_hours=quiet_from(tomorrow()))
    with pytest.raises(OtpiqValidationError, match=r"scheduled_for: .* is in the connection's quiet_hours"):
        hook.create_campaign(name="Summer", template_name="order_update", phone_number="0770 123 4567", **SCHEDULE)
    assert sent(sandbox) == []
    hook.create_campaign(**CREATE, **SCHEDULE | {"scheduled_for": tomorrow().subtract(minutes=1)})
    hook.create_campaign(**CREATE)


def test_a_broken_guard_rail_refuses_to_create_a_campaign_that_starts_by_itself(
    guarded: Callable[..., Any], sandbox: Sandbox
) -> None:
    hook, _, _ = guarded(quiet_hours="night")
    with pytest.raises(OtpiqConfigurationError, match="nobody is messaged over it"):
        hook.create_campaign(**CREATE, **SCHEDULE)
    assert sent(sandbox) == []


def test_a_campaigns_own_time_may_be_in_quiet_hours(guarded: Callable[..., Any], sandbox: Sandbox) -> None:
    hook, campaign_id, _ = guarded(quiet_hours=not_quiet_now())
    with pytest.raises(
        OtpiqValidationError, match=r"scheduled_for: is not set, .*quiet_hours; .* Set scheduled_for too"
    ):
        hook.update_campaign(campaign_id=campaign_id, schedule_type="schedule")
    assert sent(sandbox) == []
    hook.update_campaign(campaign_id=campaign_id, name="Winter", schedule_type="now")


def test_without_quiet_hours_a_campaigns_own_time_stands(guarded: Callable[..., Any]) -> None:
    hook, campaign_id, _ = guarded(max_recipients=5)
    hook.update_campaign(campaign_id=campaign_id, scheduled_for=tomorrow())
    hook.update_campaign(campaign_id=campaign_id, schedule_type="schedule")


def test_extras_that_are_no_object_refuse_everything(connect: Callable[..., OtpiqHook]) -> None:
    hook = connect(extra=json.dumps(["allowed_recipients"]))
    is_named = documented("an extra of the connection that is no JSON object is named")
    with pytest.raises(OtpiqConfigurationError if is_named else AirflowNotFoundException):
        hook.start_campaign(campaign_id=CAMPAIGN_ID)
