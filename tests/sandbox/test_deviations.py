"""Deviations of the sandbox: each changes what it does for exactly one assumption about OTPIQ."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.deviations import DEVIATIONS
from tests.sandbox.client import (
    PAYLOAD,
    attach,
    call,
    control,
    create,
    created_id,
    download,
    generate,
    ids_of_template,
    people,
    start,
    update,
    with_recipients,
)

pytestmark = pytest.mark.slow

UNKNOWN = "0" * 24
NUMBER = "9647712345671"
SCHEDULE = {"scheduleType": "schedule"}


def later(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(**by)).isoformat()


def scheduled(sandbox: Sandbox) -> str:
    campaign_id = with_recipients(sandbox)
    assert update(sandbox, campaign_id, **SCHEDULE, scheduledFor=later(days=1)).status_code == 200
    return campaign_id


def started(sandbox: Sandbox) -> str:
    campaign_id = with_recipients(sandbox)
    assert start(sandbox, campaign_id).status_code == 200
    sandbox.move_clock(minutes=10)
    return campaign_id


def file(sandbox: Sandbox) -> requests.Response:
    started(sandbox)
    return download(generate(sandbox).json()["downloadUrl"])


def attached_twice(sandbox: Sandbox) -> requests.Response:
    return attach(sandbox, with_recipients(sandbox), *people(1))


def without_credit(sandbox: Sandbox) -> requests.Response:
    campaign_id = with_recipients(sandbox)
    sandbox.credit = 0
    return start(sandbox, campaign_id)


def created_twice(sandbox: Sandbox) -> requests.Response:
    create(sandbox)
    return create(sandbox)


def with_time_alone(sandbox: Sandbox) -> requests.Response:
    return update(sandbox, created_id(sandbox), scheduledFor=later(days=1))


def scheduled_alone(sandbox: Sandbox) -> requests.Response:
    campaign_id = with_recipients(sandbox)
    update(sandbox, campaign_id, scheduledFor=later(days=1))
    return update(sandbox, campaign_id, **SCHEDULE)


def with_line_break(sandbox: Sandbox) -> requests.Response:
    parameters = {"body": {"1": "Ali\nHassan"}}
    return attach(sandbox, created_id(sandbox), {"phoneNumber": NUMBER, "templateParameters": parameters})


def payload(sandbox: Sandbox) -> requests.Response:
    template_id = ids_of_template(sandbox, "order_tracking")["templateId"]
    return call(sandbox, "GET", f"{PAYLOAD}?templateId={template_id}")


def of_many(sandbox: Sandbox) -> requests.Response:
    return generate(sandbox, phoneNumbers=[f"+{person['phoneNumber']}" for person in people(1000)])


def report_of_started(sandbox: Sandbox) -> requests.Response:
    started(sandbox)
    return generate(sandbox)


REQUESTS: dict[str, Callable[[Sandbox], requests.Response]] = {
    "create-status": create,
    "create-shape": create,
    "campaign-id": create,
    "update-status": lambda sandbox: update(sandbox, created_id(sandbox), name="Another"),
    "update-shape": lambda sandbox: update(sandbox, created_id(sandbox), name="Another"),
    "update-recipients": lambda sandbox: update(sandbox, created_id(sandbox), name="Another"),
    "update-cost": lambda sandbox: update(sandbox, created_id(sandbox), name="Another"),
    "attach-counts-at-once": lambda sandbox: update(sandbox, with_recipients(sandbox), name="Another"),
    "name-limits": lambda sandbox: create(sandbox, name="x" * 81),
    "name-reuse": created_twice,
    "unknown-fields": lambda sandbox: create(sandbox, unknown=1),
    "error-body": lambda sandbox: create(sandbox, name=""),
    "unknown-campaign": lambda sandbox: update(sandbox, UNKNOWN, name="Another"),
    "credit-error": without_credit,
    "state-refusal": lambda sandbox: update(sandbox, started(sandbox), name="Another"),
    "started-refused": lambda sandbox: update(sandbox, started(sandbox), name="Another"),
    "past-time-refused": lambda sandbox: create(sandbox, **SCHEDULE, scheduledFor=later(days=-1)),
    "time-offset": lambda sandbox: create(sandbox, **SCHEDULE, scheduledFor="2100-01-01T00:00:00Z"),
    "schedule-far-ahead": lambda sandbox: create(sandbox, **SCHEDULE, scheduledFor=later(days=365)),
    "schedule-empty": lambda sandbox: create(sandbox, **SCHEDULE, scheduledFor=later(days=1)),
    "time-alone": with_time_alone,
    "time-alone-keeps-draft": with_time_alone,
    "schedule-alone": scheduled_alone,
    "back-to-draft": lambda sandbox: update(sandbox, scheduled(sandbox), scheduleType="now"),
    "null-clears-time": lambda sandbox: update(sandbox, scheduled(sandbox), scheduleType="now", scheduledFor=None),
    "attach-shape": lambda sandbox: attach(sandbox, created_id(sandbox), *people(1)),
    "attach-all-present": attached_twice,
    "plus-refused": lambda sandbox: attach(sandbox, created_id(sandbox), {"phoneNumber": f"+{NUMBER}"}),
    "line-break-accepted": with_line_break,
    "button-parameters": payload,
    "resource-values": lambda sandbox: call(sandbox, "GET", "/whatsapp/resources"),
    "rate-limit": create,
    "report-shape": generate,
    "report-empty": generate,
    "report-columns": file,
    "report-times": file,
    "report-host": generate,
    "report-download": file,
    "report-record-count": generate,
    "report-phone-numbers": file,
    "report-statuses": file,
    "report-1000-numbers": of_many,
    "report-message-type": file,
    "report-created-at": report_of_started,
}
"""A request of which the response differs."""


_VARYING = re.compile(
    r"\b(cmp_)?[0-9a-f]{12,24}\b|(?<=:)\d{4,5}(?=/)|20[2-9]\d-\d\d-\d\d[T ][\d:.]+(-\d\d-\d\dZ-\w{8})?"
)


def observed(sandbox: Sandbox, name: str, *deviations: str) -> str:
    """Return a response and the campaigns' states, without what differs from run to run."""
    sandbox.reset()
    sandbox.deviations = deviations
    response = REQUESTS[name](sandbox)
    is_json = response.headers["content-type"] == "application/json"
    content = response.json() if is_json else response.text  # parsed, because spaces do not count
    headers = {name: value for name, value in response.headers.items() if name.startswith("x-")}
    states = [campaign["status"] for campaign in sandbox.campaigns]
    return _VARYING.sub("…", f"{response.status_code} {headers} {content} {states}")


@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_deviation_changes_what_the_sandbox_does(sandbox: Sandbox, name: str) -> None:
    expected = observed(sandbox, name)
    assert observed(sandbox, name) == expected
    assert observed(sandbox, name, name) != expected


def test_the_sandbox_can_deviate_from_each_assumption_that_can_be_checked() -> None:
    checkable = {name for name, assumption in ASSUMPTIONS.items() if assumption.checkable}
    assert checkable <= DEVIATIONS.keys() <= ASSUMPTIONS.keys()


def test_ids_are_the_keys_of_the_table() -> None:
    assert {name: assumption.id for name, assumption in ASSUMPTIONS.items()} == {name: name for name in ASSUMPTIONS}


def test_an_unknown_deviation_is_an_error_that_lists_the_ids(sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(ValueError, match=r"^deviations: ") as caught:
        Sandbox(deviations={"attach-all-present", "attach-all"})
    assert str(caught.value) == snapshot
    with pytest.raises(ValueError, match="cannot deviate from attach-all;"):
        sandbox.deviations = "attach-all"


def test_a_reset_restores_the_first_deviations() -> None:
    with Sandbox(deviations={"create-status", "create-shape"}) as sandbox:
        sandbox.deviations = []
        sandbox.reset()
        assert set(sandbox.deviations) == {"create-shape", "create-status"}
        response = create(sandbox)
    assert (response.status_code, "data" in response.json()) == (200, False)


def test_the_control_plane_says_what_it_is_with_assumptions_and_deviations(sandbox: Sandbox) -> None:
    sandbox.deviations = ["rate-limit"]
    about = control(sandbox, "GET", "/_sandbox")
    assert "not OTPIQ" in about["notice"]
    assert about["assumptions"] == {name: assumption.text for name, assumption in ASSUMPTIONS.items()}
    assert about["deviations"] == ["rate-limit"]
