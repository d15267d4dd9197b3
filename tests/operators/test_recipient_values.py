"""What arrives of recipients that an operator attaches, or sends a sample to."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from tests.fakes import execute
from tests.phone_numbers import NUMBER, REJECTED, SPELLINGS
from tests.sandbox.client import generate, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

    Create = Callable[..., str]
    Send = Callable[..., Any]

_task_numbers = count()
both = pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])


@pytest.fixture
def create(sandbox_hook: OtpiqHook) -> Create:
    def create(template_name: str) -> str:
        language = {"template_language": "ar"} if template_name == "summer_promo" else {}
        campaign = sandbox_hook.create_campaign(
            name="Summer", template_name=template_name, phone_number="+964 770 123 4567", **language
        )
        return str(campaign["_id"])

    return create


@pytest.fixture
def send(dag: DAG, context: dict[str, Any]) -> Send:
    def send(kind: Any, campaign_id: str, *recipients: Any, **fields: Any) -> Any:
        fields = {"task_id": f"send_{next(_task_numbers)}", "dag": dag, "recipients": recipients} | fields
        return execute(kind(campaign_id=campaign_id, **fields), context)

    return send


@pytest.fixture
def native(context: dict[str, Any]) -> DAG:
    dag = context["dag"] = DAG("native", schedule=None, render_template_as_native_obj=True)
    return dag


def sent(sandbox: Sandbox) -> list[dict[str, Any]]:
    recipients: list[dict[str, Any]] = sandbox.requests[-1]["body"]["recipients"]
    return recipients


def nothing_was_sent(sandbox: Sandbox) -> bool:
    return [campaign["totalRecipients"] for campaign in sandbox.campaigns] == [0]


def to(number: Any, **parameters: Any) -> dict[str, Any]:
    return {"phoneNumber": number, "templateParameters": {"body": parameters}}


@both
def test_all_spellings_of_a_number_are_one_recipient(create: Create, send: Send, sandbox: Sandbox, kind: Any) -> None:
    rows = [to(number, **{"1": str(position)}) for position, number in enumerate(SPELLINGS)]
    send(kind, create("summer_promo"), *rows)
    assert sent(sandbox) == [to(NUMBER, **{"1": "0"})]


@both
@pytest.mark.parametrize("number", REJECTED)
def test_what_is_nobodys_number_sends_nothing(
    create: Create, send: Send, sandbox: Sandbox, kind: Any, number: Any
) -> None:
    with pytest.raises(OtpiqValidationError, match=r"recipients\[1\]"):
        send(kind, create("order_update"), NUMBER, number)
    assert nothing_was_sent(sandbox)


@both
def test_a_number_in_scientific_notation_is_not_a_strangers(
    create: Create, send: Send, sandbox: Sandbox, native: DAG, kind: Any
) -> None:
    with pytest.raises(OtpiqValidationError, match="its last digits"):
        send(kind, create("order_update"), "9.6477E+12", dag=native)  # which renders to a float
    assert nothing_was_sent(sandbox)


@both
def test_texts_are_sent_as_whatsapp_accepts_them(
    create: Create, send: Send, sandbox: Sandbox, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    send(kind, create("summer_promo"), to(NUMBER, **{"1": "Ali\nHassan", "2": "\u200f"}))
    assert sent(sandbox) == [to(NUMBER, **{"1": "Ali Hassan"})]
    assert "Cleaned 1 values of template parameters" in caplog.text
    assert "Left out 1 values of template parameters" in caplog.text


def test_a_message_whose_texts_were_cleaned_is_delivered(create: Create, send: Send, sandbox: Sandbox) -> None:
    send(SendSampleOperator, create("summer_promo"), to("9647701234561", **{"1": "Ali\tHassan", "2": ""}))
    sandbox.move_clock(hours=1)
    (message,) = rows(generate(sandbox, startDate="2026-01-01T00:00:00Z").json()["downloadUrl"])
    assert (message["Delivery Status"], message["Error Reason"]) == ("delivered", "")


@both
@pytest.mark.parametrize("null_values", [["-"], ("-",), "{{ ['-'] }}"])
def test_null_values_may_be_set(
    create: Create, send: Send, sandbox: Sandbox, native: DAG, kind: Any, null_values: Any
) -> None:
    row = to(NUMBER, **{"1": "NULL", "2": " - "})
    send(kind, create("summer_promo"), row, null_values=null_values, dag=native)
    assert sent(sandbox) == [to(NUMBER, **{"1": "NULL"})]


@both
@pytest.mark.parametrize("null_values", ["NULL", "{{ 5 }}"])
def test_null_values_that_are_not_a_list_send_nothing(
    create: Create, send: Send, sandbox: Sandbox, native: DAG, kind: Any, null_values: str
) -> None:
    with pytest.raises(OtpiqValidationError, match="null_values: "):
        send(kind, create("summer_promo"), to(NUMBER, **{"1": "Ali"}), null_values=null_values, dag=native)
    assert nothing_was_sent(sandbox)


@both
def test_a_template_with_a_button_is_sent(create: Create, send: Send, sandbox: Sandbox, kind: Any) -> None:
    row = to("0770 123 4567", **{"1": "Ali"})
    row["templateParameters"]["buttons"] = {"0": {"1": "A-1042"}}
    send(kind, create("order_tracking"), row)
    assert sent(sandbox) == [row | {"phoneNumber": NUMBER}]


@both
def test_a_missing_parameter_of_a_button_is_named(create: Create, send: Send, sandbox: Sandbox, kind: Any) -> None:
    missing = r"templateParameters\.buttons\.0\.1 \(Button 0 \{\{1\}\}\) is required, and is not set"
    with pytest.raises(OtpiqValidationError, match=missing):
        send(kind, create("order_tracking"), to(NUMBER, **{"1": "Ali"}))
    assert nothing_was_sent(sandbox)


@both
def test_the_log_says_how_many_are_abroad(
    create: Create, send: Send, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    send(kind, create("order_update"), NUMBER, "+966 50 123 4567", "+966 50 123 4568", "+90 532 123 45 67")
    assert "3 recipients are outside IQ: 2 SA, 1 TR." in caplog.text
