import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqRequestError,
    OtpiqServerError,
)
from airflow_provider_otpiq.operators.campaign import (
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.sandbox import Sandbox
from tests.conftest import AIRFLOW_VERSION, needs_task_state
from tests.fakes import (
    CAMPAIGN_ID,
    CREATE,
    BrokenStateStore,
    StateStore,
    TaskInstance,
    tomorrow,
)
from tests.operators.broadcasts import Run


@pytest.fixture
def create(context: dict[str, Any]) -> Run:
    return Run(CreateCampaignOperator, context, CREATE)


@pytest.fixture
def update(context: dict[str, Any]) -> Run:
    return Run(UpdateCampaignOperator, context, {})


@pytest.fixture
def store(context: dict[str, Any]) -> StateStore:
    if AIRFLOW_VERSION.release < (3, 3):
        pytest.skip("Airflow 3.3 brought task_state_store")
    store: StateStore = context.setdefault("task_state_store", StateStore())
    return store


# XCom


def test_create_and_update_return_the_id_and_push_the_campaign(create: Run, update: Run, sandbox: Sandbox) -> None:
    campaign_id = create()
    assert [campaign["_id"] for campaign in sandbox.campaigns] == [campaign_id]
    assert (create.pushed["campaign"]["_id"], create.pushed["campaign"]["name"]) == (campaign_id, "Summer")
    assert update(campaign_id=campaign_id, name="{{ params.name }}") == campaign_id
    assert (update.pushed["campaign"]["_id"], update.pushed["campaign"]["name"]) == (campaign_id, "Autumn")
    assert [request["method"] for request in sandbox.requests] == ["POST", "PATCH"]
    create.pushed.clear()
    assert create(do_xcom_push=False)
    assert create.pushed == {}


NUMBER = "9647701234567"
OF_A_CAMPAIGN: dict[str, Any] = {"campaign_id": CAMPAIGN_ID}
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "create": (CreateCampaignOperator, CREATE),
    "update": (UpdateCampaignOperator, OF_A_CAMPAIGN | {"name": "Autumn"}),
    "start": (StartCampaignOperator, OF_A_CAMPAIGN),
    "sample": (SendSampleOperator, OF_A_CAMPAIGN | {"recipients": [NUMBER], "validate_parameters": False}),
}


@pytest.mark.parametrize("saved_before", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_recipients_in_a_response_are_neither_pushed_nor_saved(
    store: StateStore, context: dict[str, Any], sandbox: Sandbox, call: str, saved_before: bool
) -> None:
    own = "665f1c2ab3d4e5f60123456a" if call == "sample" else CAMPAIGN_ID
    echo = {"_id": own, "name": "x", "recipients": [NUMBER], "data": {"phoneNumber": NUMBER}}
    sandbox.arm(call, status=200, body={"success": True, "data": echo})
    operator, fields = CALLS[call]
    run = Run(operator, context, fields)
    assert run() == own
    assert NUMBER not in json.dumps([run.pushed, store.stored])
    if saved_before and call != "update":  # by an earlier release, with all fields
        (key, saved), context["ti"] = next(iter(store.stored.items())), TaskInstance(2)
        store.set(key, json.loads(saved) | {"campaign": echo})
        assert run() == own
    assert run.pushed["campaign"] == {"_id": own, "name": "x"}


# Fields


def test_the_connection_id_is_rendered(create: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"conn_type": "otpiq", "host": sandbox.url, "password": "another key"}
    monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_AUTUMN", json.dumps(other))
    create.fail(Exception, match="'otpiq_Autumn' cannot be used", otpiq_conn_id="otpiq_{{ params.name }}")


WITHOUT_OFFSET = ["2099-12-01 09:00", "2099-12-01T09:00:00", datetime(2099, 12, 1, 9)]
WITH_OFFSET = ["2099-12-01T09:00+03:00", "2099-12-01 06:00Z", datetime(2099, 12, 1, 6, tzinfo=UTC)]
UTC_DAGS = [{}, {"start_date": datetime(2026, 1, 1, tzinfo=UTC)}, {"start_date": pendulum.datetime(2026, 1, 1)}]


@pytest.mark.parametrize(
    ("of_dag", "time", "hour", "warnings"),
    [
        *((None, time, 6, 0) for time in WITHOUT_OFFSET),
        *((of_dag, WITHOUT_OFFSET[0], 9, 2) for of_dag in UTC_DAGS),
        *(({}, time, 6, 0) for time in WITH_OFFSET),
    ],
)
def test_a_naive_time_is_in_the_dags_timezone_and_without_one_is_warned_about(
    create: Run, update: Run, context: dict[str, Any], sandbox: Sandbox, capsys: pytest.CaptureFixture[str],
    of_dag: dict[str, Any] | None, time: Any, hour: int, warnings: int,
) -> None:  # fmt: skip
    if of_dag is not None:
        context["dag"] = DAG("utc", schedule=None, **of_dag)
    update(campaign_id=create(schedule_type="schedule", scheduled_for=time), scheduled_for=time)
    assert {request["body"]["scheduledFor"] for request in sandbox.requests} == {f"2099-12-01T{hour:02}:00:00Z"}
    logged = capsys.readouterr().out
    assert logged.count("has no offset") == warnings
    assert logged.count("it is 2099-12-01T09:00:00Z (2099-12-01 12:00:00 in Asia/Baghdad)") == warnings
    shown = "Scheduled for 2099-12-01T06:00:00Z (2099-12-01 09:00:00 in Asia/Baghdad)."
    assert (shown in logged) is (of_dag is None)


# One campaign for one task instance


def test_a_later_try_returns_the_same_campaign(
    create: Run, context: dict[str, Any], store: StateStore, sandbox: Sandbox
) -> None:
    first, pushed = create(), create.pushed
    context["ti"] = TaskInstance(try_number=2)
    assert create() == first
    assert create.pushed == pushed
    assert len(sandbox.requests) == 1
    assert store.retentions == [timedelta.max]  # Airflow's NEVER_EXPIRE


def test_a_later_try_reads_the_state_before_it_validates_the_time(
    store: StateStore, create: Run, sandbox: Sandbox
) -> None:
    passed = {"schedule_type": "schedule", "scheduled_for": "2020-01-01T00:00:00Z"}
    request = {name: CREATE.get(name, passed.get(name)) for name in CreateCampaignOperator.template_fields}
    store.set(
        "otpiq_campaign", {"request": request | {"otpiq_conn_id": "otpiq_default"}, "campaign": {"_id": CAMPAIGN_ID}}
    )
    assert create(**passed) == CAMPAIGN_ID
    assert sandbox.requests == []


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("first", "later"),
    [
        ({"schedule_type": None}, {"schedule_type": "None", "scheduled_for": ""}),
        (
            {"schedule_type": "schedule", "scheduled_for": "2099-12-01T06:00:00Z"},
            {"schedule_type": "schedule", "scheduled_for": "2099-12-01 09:00"},
        ),
    ],
)
def test_the_same_request_in_another_spelling_is_the_same(
    create: Run, sandbox: Sandbox, first: dict[str, Any], later: dict[str, Any]
) -> None:
    assert create(**first) == create(**later)
    assert len(sandbox.campaigns) == 1


@pytest.mark.parametrize(
    "saved",
    [
        "text",
        [],
        {"campaign": "abc"},
        {"campaign": {}, "request": {}},
        {"campaign": {"_id": CAMPAIGN_ID}},
        {"campaign": {"_id": CAMPAIGN_ID}, "request": None},
        {"campaign": {"_id": None}, "request": {}},
        {"campaign": {"_id": "../../x"}, "request": {}},
    ],
)
def test_a_saved_state_that_cannot_be_read_is_ignored(
    store: StateStore, create: Run, sandbox: Sandbox, saved: Any
) -> None:
    store.set("otpiq_campaign", saved)
    assert create() == sandbox.campaigns[0]["_id"]


@pytest.mark.usefixtures("store")
def test_a_campaign_is_saved_before_anything_else_can_fail(create: Run, sandbox: Sandbox) -> None:
    last = create(schedule_type="schedule", scheduled_for="9999-12-31T23:30:00Z")
    assert last == sandbox.campaigns[0]["_id"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Winter"},
        {"template_id": CAMPAIGN_ID},
        {"template_name": "branch_news", "template_id": None},
        {"phone_number": "0770 123 4567", "phone_number_id": None},
        {"otpiq_conn_id": "OTPIQ_default"},  # the same connection, in the environment, by another name
    ],
)
def test_other_fields_create_a_new_campaign_and_warn(
    create: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, changed: dict[str, str]
) -> None:
    first = create()
    caplog.clear()
    second = create(**changed)
    assert second != first
    assert len(sandbox.campaigns) == 2
    (warning,) = [message for message in caplog.messages if "earlier try" in message]
    assert first in warning
    assert next(iter(changed)) in warning
    # From now on the new one is saved.
    assert create(**changed) == second


def test_a_create_that_is_not_durable_or_fails_is_not_saved(create: Run, store: StateStore, sandbox: Sandbox) -> None:
    create(durable=False)
    create(durable=False)
    assert len(sandbox.campaigns) == 2
    sandbox.arm("create", status=500)
    create.fail(OtpiqServerError)
    assert store.stored == {}


@needs_task_state
def test_a_campaign_that_cannot_be_saved_is_still_returned(
    create: Run, context: dict[str, Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    context["task_state_store"] = BrokenStateStore()
    assert create() == sandbox.campaigns[0]["_id"]
    assert "could not be saved" in caplog.text


def test_without_a_store_a_later_try_warns(
    create: Run, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for try_number, warned in ((1, False), (2, True)):
        context["ti"] = TaskInstance(try_number)
        create()
        assert ("does not save the results of earlier tries" in caplog.text) is warned


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", [10**5000, "\ud800ab"], ids=["int", "text"])
def test_a_name_that_is_not_a_string_is_a_validation_error(create: Run, name: object) -> None:
    create.fail(name=name)


# Native rendering


def test_native_rendering_keeps_what_it_can_and_refuses_what_it_cannot(
    create: Run, context: dict[str, Any], sandbox: Sandbox
) -> None:
    native = DAG("native", schedule=None, render_template_as_native_obj=True)
    digits = "123456789012345678901234"
    context |= {"dag": native, "digits": digits, "start": tomorrow(), "nothing": None, "exponent": "1e5"}
    create(
        name="{{ 2026 }}",
        template_id="{{ digits }}",
        schedule_type="{{ 'schedule' }}",
        scheduled_for="{{ start }}",
    )
    body = sandbox.requests[0]["body"]
    assert (body["name"], body["templateId"]) == ("2026", digits)
    assert body["scheduledFor"] == tomorrow().to_iso8601_string()
    create(schedule_type="{{ nothing }}", scheduled_for="{{ nothing }}")
    assert set(sandbox.requests[1]["body"]) == {"name", "templateId", "phoneNumberId"}
    create.fail(match="render_template_as_native_obj", template_id="{{ exponent }}", name="{{ nothing }}")


# Errors


@pytest.mark.parametrize("fault", [{"connection": "drop"}, {"status": 503}, {"status": 200, "body": "<html>"}], ids=str)
def test_the_error_of_a_lost_create_names_the_campaign(create: Run, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.arm("create", **fault)
    assert "Campaign 'Summer offer' may exist" in create.fail(OtpiqApiError, name="Summer offer").remedy
    sandbox.arm("create", status=400, body={"error": "no"})
    assert create.fail(OtpiqApiError).remedy == OtpiqRequestError.remedy  # it has no effect
