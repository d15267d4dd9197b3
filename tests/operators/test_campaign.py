from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConflictError,
    OtpiqRequestError,
    OtpiqServerError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.operators.campaign import (
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from tests.conftest import needs_task_state
from tests.fakes import (
    CAMPAIGN_ID,
    CREATE,
    BrokenStateStore,
    StateStore,
    TaskInstance,
    execute,
    tomorrow,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox


_task_numbers = count()


def create(dag: DAG, **fields: Any) -> CreateCampaignOperator:
    return CreateCampaignOperator(task_id=f"create_{next(_task_numbers)}", dag=dag, **(CREATE | fields))


# XCom


def test_create_returns_the_id_and_pushes_the_campaign(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    campaign_id = execute(create(dag), context)
    assert [campaign["_id"] for campaign in sandbox.campaigns] == [campaign_id]
    pushed = context["ti"].pushed["campaign"]
    assert pushed["_id"] == campaign_id
    assert pushed["name"] == "Summer"


def test_update_pushes_the_same_two(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    campaign_id = execute(create(dag), context)
    update = UpdateCampaignOperator(task_id="update", dag=dag, campaign_id=campaign_id, name="{{ params.name }}")
    assert execute(update, context) == campaign_id
    assert context["ti"].pushed["campaign"]["name"] == "Autumn"
    assert [request["method"] for request in sandbox.requests] == ["POST", "PATCH"]


@needs_task_state
@pytest.mark.parametrize("saved_before", [False, True])
@pytest.mark.parametrize("call", ["create", "update", "start", "sample"])
def test_recipients_in_a_response_are_neither_pushed_nor_saved(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, call: str, saved_before: bool
) -> None:
    context["task_state_store"] = store = StateStore()
    number = "9647701234567"
    own = "665f1c2ab3d4e5f60123456a" if call == "sample" else CAMPAIGN_ID
    echo = {"_id": own, "name": "x", "recipients": [number], "data": {"phoneNumber": number}}
    sandbox.arm(call, status=200, body={"success": True, "data": echo})
    operators: dict[str, Any] = {
        "create": create(dag),
        "update": UpdateCampaignOperator(task_id="update", dag=dag, campaign_id=CAMPAIGN_ID, name="Autumn"),
        "start": StartCampaignOperator(task_id="start", dag=dag, campaign_id=CAMPAIGN_ID),
        "sample": SendSampleOperator(
            task_id="sample", dag=dag, campaign_id=CAMPAIGN_ID, recipients=[number], validate_parameters=False
        ),
    }
    assert execute(operators[call], context) == own
    assert number not in json.dumps([context["ti"].pushed, store.stored])
    if saved_before and call != "update":  # by an earlier release, with all fields
        (key, saved), context["ti"] = next(iter(store.stored.items())), TaskInstance(2)
        store.set(key, json.loads(saved) | {"campaign": echo})
        assert execute(operators[call], context) == own
        assert number not in json.dumps(context["ti"].pushed)
    assert context["ti"].pushed["campaign"] == {"_id": own, "name": "x"}


def test_do_xcom_push_off_pushes_nothing(dag: DAG, context: dict[str, Any]) -> None:
    assert execute(create(dag, do_xcom_push=False), context)
    assert context["ti"].pushed == {}


# Fields


def test_init_only_assigns(dag: DAG) -> None:
    fields = {"name": "{{ '' }}", "template_id": None, "schedule_type": 5, "scheduled_for": "never"}
    task = create(dag, **fields)
    assert {name: getattr(task, name) for name in fields} == fields


def test_an_invalid_request_is_not_sent(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        execute(create(dag, name="{{ params.get('nothing') }}", template_id="None", scheduled_for="soon"), context)
    assert len(caught.value.errors) == 3
    assert sandbox.requests == []


def test_the_connection_id_is_rendered(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"conn_type": "otpiq", "host": sandbox.url, "password": "another key"}
    monkeypatch.setenv("AIRFLOW_CONN_OTPIQ_AUTUMN", json.dumps(other))
    with pytest.raises(Exception, match="'otpiq_Autumn' cannot be used"):
        execute(create(dag, otpiq_conn_id="otpiq_{{ params.name }}"), context)


@pytest.mark.parametrize("start", ["2099-12-01 09:00", "2099-12-01T09:00:00", datetime(2099, 12, 1, 9)])
def test_a_time_without_offset_is_in_the_dags_timezone(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, capsys: pytest.CaptureFixture[str], start: Any
) -> None:
    task = create(dag, schedule_type="schedule", scheduled_for=start)
    execute(task, context)
    assert sandbox.requests[0]["body"]["scheduledFor"] == "2099-12-01T06:00:00Z"
    assert "Scheduled for 2099-12-01T06:00:00Z (2099-12-01 09:00:00 in Asia/Baghdad)." in (
        logged := capsys.readouterr().out
    )
    assert "has no offset" not in logged


def test_an_update_takes_the_dags_timezone_too(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    campaign_id = execute(create(dag), context)
    task = UpdateCampaignOperator(task_id="u", dag=dag, campaign_id=campaign_id, scheduled_for="2099-12-01 09:00")
    execute(task, context)
    assert sandbox.campaigns[0]["scheduledFor"] == "2099-12-01T06:00:00Z"


UTC_DAGS = [{}, {"start_date": datetime(2026, 1, 1, tzinfo=UTC)}, {"start_date": pendulum.datetime(2026, 1, 1)}]


@pytest.mark.parametrize("fields", UTC_DAGS)
def test_a_naive_time_in_a_dag_without_timezone_is_warned_about(
    context: dict[str, Any], sandbox: Sandbox, capsys: pytest.CaptureFixture[str], fields: dict[str, Any]
) -> None:
    dag = DAG("utc", schedule=None, **fields)
    context |= {"dag": dag}
    campaign_id = execute(create(dag, schedule_type="schedule", scheduled_for="2099-12-01 09:00"), context)
    expected = "it is 2099-12-01T09:00:00Z (2099-12-01 12:00:00 in Asia/Baghdad)"
    assert expected in capsys.readouterr().out
    execute(
        UpdateCampaignOperator(task_id="u", dag=dag, campaign_id=campaign_id, scheduled_for="2099-12-01 09:00"), context
    )
    assert expected in capsys.readouterr().out
    assert sandbox.campaigns[0]["scheduledFor"] == "2099-12-01T09:00:00Z"


@pytest.mark.parametrize("time", ["2099-12-01T09:00+03:00", "2099-12-01 06:00Z", datetime(2099, 12, 1, 6, tzinfo=UTC)])
def test_a_time_with_an_offset_is_not_warned_about(
    context: dict[str, Any], sandbox: Sandbox, capsys: pytest.CaptureFixture[str], time: Any
) -> None:
    dag = DAG("utc", schedule=None)
    execute(create(dag, schedule_type="schedule", scheduled_for=time), context | {"dag": dag})
    assert "has no offset" not in capsys.readouterr().out
    assert sandbox.requests[0]["body"]["scheduledFor"] == "2099-12-01T06:00:00Z"


# One campaign for one task instance


@needs_task_state
def test_a_later_try_returns_the_same_campaign(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    context["task_state_store"] = store = StateStore()
    first = execute(create(dag), context)
    later = context | {"ti": TaskInstance(try_number=2)}
    assert execute(create(dag), later) == first
    assert later["ti"].pushed == context["ti"].pushed
    assert len(sandbox.requests) == 1
    assert store.retentions == [timedelta.max]  # Airflow's NEVER_EXPIRE


def test_a_later_try_reads_the_state_before_it_validates_the_time(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox
) -> None:
    passed = {"schedule_type": "schedule", "scheduled_for": "2020-01-01T00:00:00Z"}
    request = {name: CREATE.get(name, passed.get(name)) for name in CreateCampaignOperator.template_fields}
    context["task_state_store"] = store = StateStore()
    store.set(
        "otpiq_campaign", {"request": request | {"otpiq_conn_id": "otpiq_default"}, "campaign": {"_id": CAMPAIGN_ID}}
    )
    assert execute(create(dag, **passed), context) == CAMPAIGN_ID
    assert sandbox.requests == []


@needs_task_state
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
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, first: dict[str, Any], later: dict[str, Any]
) -> None:
    context["task_state_store"] = StateStore()
    assert execute(create(dag, **first), context) == execute(create(dag, **later), context)
    assert len(sandbox.campaigns) == 1


@needs_task_state
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
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, saved: Any
) -> None:
    context["task_state_store"] = store = StateStore()
    store.set("otpiq_campaign", saved)
    assert execute(create(dag), context) == sandbox.campaigns[0]["_id"]


@needs_task_state
def test_a_campaign_is_saved_before_anything_else_can_fail(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    context["task_state_store"] = StateStore()
    last = create(dag, schedule_type="schedule", scheduled_for="9999-12-31T23:30:00Z")
    assert execute(last, context) == sandbox.campaigns[0]["_id"]


@needs_task_state
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
    dag: DAG,
    context: dict[str, Any],
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    changed: dict[str, str],
) -> None:
    context["task_state_store"] = StateStore()
    first = execute(create(dag), context)
    caplog.clear()
    second = execute(create(dag, **changed), context)
    assert second != first
    assert len(sandbox.campaigns) == 2
    (warning,) = [message for message in caplog.messages if "earlier try" in message]
    assert first in warning
    assert next(iter(changed)) in warning
    # From now on the new one is saved.
    assert execute(create(dag, **changed), context) == second


def test_durable_false_creates_a_new_campaign_each_time(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    context["task_state_store"] = store = StateStore()
    execute(create(dag, durable=False), context)
    execute(create(dag, durable=False), context)
    assert len(sandbox.campaigns) == 2
    assert store.stored == {}


def test_a_failed_create_is_not_saved(
    dag: DAG, context: dict[str, Any], connect: Callable[..., OtpiqHook], requests_mock: Any
) -> None:
    connect()
    requests_mock.post("https://api.otpiq.com/api/whatsapp/campaigns", status_code=500)
    context["task_state_store"] = store = StateStore()
    with pytest.raises(OtpiqServerError):
        execute(create(dag), context)
    assert store.stored == {}


@needs_task_state
def test_a_campaign_that_cannot_be_saved_is_still_returned(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    context["task_state_store"] = BrokenStateStore()
    assert execute(create(dag), context) == sandbox.campaigns[0]["_id"]
    assert "could not be saved" in caplog.text


def test_without_a_store_a_later_try_warns(dag: DAG, context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    for try_number, warned in ((1, False), (2, True)):
        execute(create(dag), context | {"ti": TaskInstance(try_number)})
        assert ("does not save the results of earlier tries" in caplog.text) is warned


@pytest.mark.parametrize("name", [10**5000, "\ud800ab"], ids=["int", "text"])
def test_a_name_that_is_not_a_string_is_a_validation_error(dag: DAG, context: dict[str, Any], name: object) -> None:
    context["task_state_store"] = StateStore()
    with pytest.raises(OtpiqValidationError):
        execute(create(dag, name=name), context)


# Native rendering


def test_native_rendering_keeps_what_it_can_and_refuses_what_it_cannot(
    context: dict[str, Any], sandbox: Sandbox
) -> None:
    native = DAG("native", schedule=None, render_template_as_native_obj=True)
    digits = "123456789012345678901234"
    context |= {"dag": native, "digits": digits, "start": tomorrow(), "nothing": None, "exponent": "1e5"}
    task = create(
        native,
        name="{{ 2026 }}",
        template_id="{{ digits }}",
        schedule_type="{{ 'schedule' }}",
        scheduled_for="{{ start }}",
    )
    execute(task, context)
    body = sandbox.requests[0]["body"]
    assert (body["name"], body["templateId"]) == ("2026", digits)
    assert body["scheduledFor"] == tomorrow().to_iso8601_string()
    execute(create(native, schedule_type="{{ nothing }}", scheduled_for="{{ nothing }}"), context)
    assert set(sandbox.requests[1]["body"]) == {"name", "templateId", "phoneNumberId"}
    with pytest.raises(OtpiqValidationError, match="render_template_as_native_obj"):
        execute(create(native, template_id="{{ exponent }}", name="{{ nothing }}"), context)


# Errors


@pytest.mark.parametrize("fault", [{"connection": "drop"}, {"status": 503}, {"status": 200, "body": "<html>"}], ids=str)
def test_the_error_of_a_lost_create_names_the_campaign(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.arm("create", **fault)
    with pytest.raises(OtpiqApiError) as caught:
        execute(create(dag, name="Summer offer"), context)
    assert "Campaign 'Summer offer' may exist" in caught.value.remedy


def test_a_refused_create_has_no_effect(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    sandbox.arm("create", status=400, body={"error": "no"})
    with pytest.raises(OtpiqApiError) as caught:
        execute(create(dag), context)
    assert caught.value.remedy == OtpiqRequestError.remedy


def test_an_update_of_a_running_campaign_is_a_conflict(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, sandbox_hook: OtpiqHook
) -> None:
    campaign_id = sandbox_hook.create_campaign(**CREATE)["_id"]
    sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=["9647801234567"])
    sandbox_hook.start_campaign(campaign_id=campaign_id)
    update = UpdateCampaignOperator(task_id="update_running", dag=dag, campaign_id=campaign_id, name="Winter")
    with pytest.raises(OtpiqConflictError):
        execute(update, context)
