"""Any value, rendered either way: no request breaks the contract, and no other exception is raised."""

import re
import string
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq._models.datetimes import apply_default_timezone, describe, parse_datetime, to_api_format
from airflow_provider_otpiq._redaction import safe_repr, sanitize
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.sandbox.schemas import CreateCampaignRequest, UpdateCampaignRequest
from tests.fakes import CREATE

# The oracle is the sandbox, which states the contract independently.
IDS = st.text("0123456789abcdefABCDEF", min_size=24, max_size=24)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=3, max_size=80).filter(lambda name: name != "None")
FUTURE = st.datetimes(
    min_value=datetime(2090, 1, 1),
    max_value=datetime(9998, 1, 1),
    timezones=st.timezones(),
    allow_imaginary=False,
)
ABSENT = st.sampled_from([None, "", "None"])
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
    st.timedeltas(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.integers()),
    st.sampled_from(["now", "schedule", "MARKETING", "None", "", "665f1c2ab3d4e5f601234567", "../../sms"]),
    st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", fullmatch=True),
)
VALID: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "template_id": IDS,
    "phone_number_id": IDS,
    "schedule_type": st.sampled_from(["now", "schedule", None, "None"]),
    "scheduled_for": st.one_of(FUTURE, st.none()),
}
VALID_UPDATE = VALID | {"campaign_id": IDS, "category": st.sampled_from(["MARKETING", "UTILITY", None])}
fuzzed = settings(deadline=None)


def mostly(valid: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of which at most two are invalid, as Python objects or as a template renders them."""
    broken = st.dictionaries(st.sampled_from(sorted(valid)), ANYTHING, max_size=2)
    fields = st.builds(dict.__or__, st.fixed_dictionaries(valid), broken)
    return st.one_of(fields, fields.map(lambda given: {name: str(value) for name, value in given.items()}))


def how_many_are_sent(fields: st.SearchStrategy[dict[str, Any]], send: Callable[[dict[str, Any]], object]) -> int:
    """Return how many requests were not refused."""
    sent = 0

    @fuzzed
    @given(fields)
    def check(given_fields: dict[str, Any]) -> None:
        nonlocal sent
        with suppress(OtpiqValidationError):
            send(given_fields)
            sent += 1

    check()
    return sent


def test_a_create_keeps_the_contract_or_is_refused() -> None:
    def send(fields: dict[str, Any]) -> None:
        CreateCampaignRequest.model_validate(CreateCampaign.parse(**fields).body())

    assert how_many_are_sent(mostly(VALID), send)


def test_an_update_keeps_the_contract_or_is_refused() -> None:
    def send(fields: dict[str, Any]) -> None:
        update = UpdateCampaign.parse(**fields)
        assert re.fullmatch("[0-9a-fA-F]{24}", update.campaign_id)
        assert UpdateCampaignRequest.model_validate(update.body()).model_fields_set

    assert how_many_are_sent(mostly(VALID_UPDATE), send)


@fuzzed
@given(name=NAMES, template_id=IDS, phone_number_id=IDS, schedule=st.one_of(ABSENT, st.just("now")), blank=ABSENT)
def test_a_valid_draft_is_never_refused(
    name: str, template_id: str, phone_number_id: str, schedule: str | None, blank: str | None
) -> None:
    fields = {"name": name, "template_id": template_id, "phone_number_id": phone_number_id}
    body = CreateCampaign.parse(**fields, schedule_type=schedule, scheduled_for=blank).body()
    assert body["name"] == name
    assert (body["templateId"], body["phoneNumberId"]) == (template_id, phone_number_id)
    CreateCampaignRequest.model_validate(body)


@fuzzed
@given(start=FUTURE, render=st.sampled_from([lambda t: t, str, datetime.isoformat, pendulum.instance]))
def test_a_valid_time_is_never_refused_and_never_moved(start: datetime, render: Any) -> None:
    # A string has whole minutes of offset at the most, as ISO 8601 has; some zones of the past have seconds.
    offset = start.utcoffset() or timedelta()
    if offset % timedelta(minutes=1):
        start = start.astimezone(UTC)
    body = CreateCampaign.parse(**CREATE, schedule_type="schedule", scheduled_for=render(start)).body()
    # Python calls an hour that is repeated unequal to every time of another zone.
    assert datetime.fromisoformat(body["scheduledFor"]) == start.astimezone(UTC)
    CreateCampaignRequest.model_validate(body)


@fuzzed
@given(
    st.one_of(ANYTHING, st.text(string.digits + "T:-+Z /.W")), st.sampled_from(["UTC", "Asia/Baghdad", "Europe/Berlin"])
)
@example("2099-12-01/09:00", "UTC")
@example("9999-12-31T23:59:59", "Europe/Berlin")
@example("0001-01-01T00:00:00", "Asia/Baghdad")
def test_any_time_is_read_or_refused(value: Any, zone: str) -> None:
    with suppress(ValueError):
        utc = parse_datetime(apply_default_timezone(value, pendulum.timezone(zone)))
        assert utc.timezone_name == "UTC"
        assert parse_datetime(to_api_format(utc)) == utc
        assert describe(value if not isinstance(value, str) else utc, pendulum.timezone(zone))


@fuzzed
@given(before=st.text(), after=st.text(), number=st.from_regex(r"\+?9647[0-9]{9}", fullmatch=True))
def test_a_phone_number_is_masked_whatever_string_is_around_it(before: str, after: str, number: str) -> None:
    assert number.removeprefix("+") not in sanitize(f"{before} {number}, {after}")


@fuzzed
@given(ANYTHING)
def test_anything_can_be_shown_in_an_error(value: Any) -> None:
    assert len(safe_repr(value)) < 450  # 40 characters, each of which may be written as \\U0001342f


def test_the_contract_of_the_sandbox_can_refuse() -> None:
    with pytest.raises(ValueError, match="name"):
        CreateCampaignRequest.model_validate({"name": "ab", "templateId": "6" * 24, "phoneNumberId": "6" * 24})
