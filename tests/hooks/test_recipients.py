"""The hook's calls that attach recipients to a campaign, sample it and start it."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout
from requests_mock import Mocker

from airflow_provider_otpiq._recipients.attach_response import AttachedCampaign
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConnectionError,
    OtpiqOutcomeUnknownError,
    OtpiqResponseError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.conftest import BASE_URL
from tests.fakes import CAMPAIGN, CAMPAIGN_ID, CREATE, RESPONSE, TEMPLATE_ID
from tests.operators.reports import WINDOW
from tests.phone_numbers import ABROAD, NUMBER, REJECTED, SPELLINGS

CAMPAIGN_URL = f"{BASE_URL}/whatsapp/campaigns/{CAMPAIGN_ID}"
ATTACH_URL, SAMPLE_URL, START_URL = (f"{CAMPAIGN_URL}/{what}" for what in ("recipients", "sample", "start"))
PAYLOAD_URL = f"{BASE_URL}/whatsapp/campaigns/recipient-payload"
ALI = "9647701234567"


def attach(hook: OtpiqHook, *recipients: Any) -> AttachedCampaign:
    return hook.attach_recipients(campaign_id=CAMPAIGN_ID, recipients=recipients or [ALI])


def sample(hook: OtpiqHook) -> dict[str, Any]:
    return hook.send_sample(campaign_id=CAMPAIGN_ID, recipients=[ALI])


def start(hook: OtpiqHook) -> dict[str, Any]:
    return hook.start_campaign(campaign_id=CAMPAIGN_ID)


# What goes out


def test_an_attach_posts_the_recipients_in_one_request(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.post(ATTACH_URL, json=RESPONSE)
    rows = [f"96477{number:08}" for number in range(1000)]
    assert attach(hook, *rows) == CAMPAIGN
    (request,) = requests_mock.request_history
    assert request.json() == {"recipients": [{"phoneNumber": number} for number in rows]}
    assert request.headers["Content-Type"] == "application/json"


def test_a_start_has_no_body(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.post(START_URL, json=RESPONSE)
    assert start(hook) == CAMPAIGN
    (request,) = requests_mock.request_history
    assert request.body is None
    assert request.headers["Content-Length"] == "0"


def test_the_payload_is_requested_by_the_apis_names(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.get(PAYLOAD_URL, json={"data": {"fields": [], "template": {}}})
    assert hook.get_recipient_payload(campaign_id=CAMPAIGN_ID) == {"fields": [], "template": {}}
    hook.get_recipient_payload(template_id=TEMPLATE_ID)
    queries = [request.url.partition("?")[2] for request in requests_mock.request_history]
    assert queries == [f"_id={CAMPAIGN_ID}", f"templateId={TEMPLATE_ID}"]


def test_an_invalid_request_reads_no_connection_and_sends_nothing(requests_mock: Mocker) -> None:
    hook = OtpiqHook("there_is_no_such_connection")
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (hook.create_campaign, CREATE | {"name": "ab"}),
        (hook.update_campaign, {"campaign_id": "../../sms", "name": "Winter"}),
        (hook.check_recipients, {"campaign_id": "x", "recipients": [ALI]}),
        (hook.attach_recipients, {"campaign_id": CAMPAIGN_ID, "recipients": None}),
        (hook.send_sample, {"campaign_id": CAMPAIGN_ID, "recipients": None}),
        (hook.start_campaign, {"campaign_id": "None"}),
        (hook.get_recipient_payload, {}),
    ]
    for call, fields in calls:
        with pytest.raises(OtpiqValidationError) as caught:
            call(**fields)
        assert len(caught.value.errors) == 1
    assert not requests_mock.called


def test_the_templates_own_parameters_are_checked_before_anything_is_sent(
    hook: OtpiqHook, requests_mock: Mocker
) -> None:
    fields = [{"key": "1", "required": True, "templateParametersPath": "templateParameters.header.image.link"}]
    requests_mock.get(PAYLOAD_URL, json={"success": True, "data": {"fields": fields}})
    valid = {"phoneNumber": ALI, "templateParameters": {"header": {"image": {"link": "https://example.com/a.png"}}}}
    assert list(hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=[valid])) == [valid]
    unchecked = hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=[ALI], validate_parameters=False)
    for recipients, errors in ([valid, ALI, "0770"], 2), (unchecked, 1):
        with pytest.raises(OtpiqValidationError) as caught:
            hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=recipients)
        assert len(caught.value.errors) == errors
    assert list(hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=[ALI, valid], on_invalid="skip")) == [valid]
    assert {request.method for request in requests_mock.request_history} == {"GET"}


@pytest.mark.parametrize(("what", "url"), [("attach_recipients", ATTACH_URL), ("send_sample", SAMPLE_URL)])
def test_what_was_checked_is_sent_byte_for_byte(hook: OtpiqHook, requests_mock: Mocker, what: str, url: str) -> None:
    requests_mock.post(url, json={"success": True, "data": {"_id": CAMPAIGN_ID if url == ATTACH_URL else TEMPLATE_ID}})
    rows = [{"phoneNumber": ALI, "templateParameters": {"body": {"1": "علي"}}}]
    checked = hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=rows, validate_parameters=False)
    rows[0]["phoneNumber"] = "9647801234567"
    getattr(hook, what)(campaign_id=CAMPAIGN_ID, recipients=checked)
    (request,) = requests_mock.request_history  # the payload is not requested
    assert request.body == checked.body
    assert request.json() == {"recipients": [{"phoneNumber": ALI, "templateParameters": {"body": {"1": "علي"}}}]}


# What comes back of an attach


def test_a_retried_attach_succeeds_after_a_lost_response(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    campaign_id = sandbox_hook.create_campaign(**CREATE)["_id"]
    rows = [f"96477{number:08}" for number in range(500)]
    sandbox.arm("attach", when="after", connection="drop")
    with pytest.raises(OtpiqConnectionError):
        sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=rows)
    assert sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=rows) == {"_id": campaign_id}
    assert [request["status"] for request in sandbox.requests[1:]] == [None, 400]
    assert sandbox.campaigns[0]["totalRecipients"] == 500


@pytest.mark.parametrize(
    ("response", "returned"),
    [
        ({"success": True}, {"_id": CAMPAIGN_ID}),
        ({"message": "2 recipients added"}, {"_id": CAMPAIGN_ID}),
        ({"success": True, "data": {"added": 2}}, {"_id": CAMPAIGN_ID, "added": 2}),
        ({"success": True, "data": {"_id": CAMPAIGN_ID.upper()}}, {"_id": CAMPAIGN_ID}),
    ],
)
def test_any_object_is_accepted_as_the_undocumented_response_to_an_attach(
    hook: OtpiqHook, requests_mock: Mocker, response: Any, returned: dict[str, Any]
) -> None:
    requests_mock.post(ATTACH_URL, json=response)
    assert attach(hook) == returned


def test_an_attach_to_another_campaign_is_not_in_the_contract(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.post(ATTACH_URL, json={"success": True, "data": {"_id": "f" * 24}})
    with pytest.raises(OtpiqResponseError, match=r"data\._id: must be .*; found another"):
        attach(hook)


SAMPLE = {"_id": "f" * 24, "isSampleCampaign": True, "sampleOfCampaign": CAMPAIGN_ID}


@pytest.mark.parametrize(
    ("call", "campaign", "error"),
    [
        (start, CAMPAIGN | {"_id": "f" * 24}, "data._id: must be the requested campaign's"),
        (sample, SAMPLE | {"_id": CAMPAIGN_ID.upper()}, "data._id: must be a new campaign's"),
        (sample, SAMPLE | {"sampleOfCampaign": "e" * 24}, "data.sampleOfCampaign: must be the requested campaign's"),
    ],
    ids=["start of another", "sample that is its parent", "sample of another"],
)
def test_another_campaign_in_the_response_leaves_the_outcome_unknown(
    hook: OtpiqHook, requests_mock: Mocker, call: Callable[[OtpiqHook], Any], campaign: dict[str, Any], error: str
) -> None:
    requests_mock.post(f"{CAMPAIGN_URL}/{call.__name__}", json={"success": True, "data": campaign})
    with pytest.raises(OtpiqOutcomeUnknownError, match=error.replace(".", r"\.")) as caught:
        call(hook)
    assert type(caught.value.__cause__) is OtpiqResponseError
    assert len(requests_mock.request_history) == 1


@pytest.mark.parametrize("parent", [{}, {"sampleOfCampaign": None}, {"sampleOfCampaign": CAMPAIGN_ID.upper()}])
def test_a_sample_may_leave_out_its_parent(hook: OtpiqHook, requests_mock: Mocker, parent: dict[str, Any]) -> None:
    campaign = {"_id": "f" * 24, **parent}
    requests_mock.post(SAMPLE_URL, json={"success": True, "data": campaign})
    assert sample(hook) == campaign


@pytest.mark.parametrize(
    "response",
    [[], {}, {"success": False, "message": "no"}, {"data": [1]}, {"error": "no"}, {"success": True, "errors": ["no"]}],
    ids=str,
)
def test_a_response_that_is_not_an_object_or_reports_an_error_is_an_error(
    hook: OtpiqHook, requests_mock: Mocker, response: Any
) -> None:
    requests_mock.post(ATTACH_URL, json=response)
    with pytest.raises(OtpiqResponseError):
        attach(hook)


def test_an_attach_counts_the_recipients_that_were_attached_before_if_known(
    hook: OtpiqHook, requests_mock: Mocker
) -> None:
    requests_mock.post(ATTACH_URL, json=RESPONSE)
    campaign = attach(hook)
    assert (campaign.attached, campaign.already_attached) == (None, None)
    requests_mock.post(ATTACH_URL, status_code=400, json={"error": "All recipients are already on this campaign"})
    campaign = attach(hook, ALI, "9647801234567", ALI)
    assert (campaign.attached, campaign.already_attached) == (0, 2)
    assert campaign == {"_id": CAMPAIGN_ID}


# What OTPIQ echoes of a person

PERSON = {
    "phoneNumber": ALI,
    "templateParameters": {
        "body": {"1": "Zaynab\nAl-Rashid", "2": "25,000 IQD"},
        "header": {"shop": {"1": "Basra", "2": -1.25}},
    },
}
ECHOES = [
    "body.1 'Zaynab\nAl-Rashid' must not contain new lines",
    f"{PERSON} is no recipient",
    "25,000 IQD, Basra and -1.25 for +964 770 123 4567",
]


@pytest.mark.parametrize("said", ECHOES)
@pytest.mark.parametrize("what", ["attach_recipients", "send_sample"])
@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
@pytest.mark.usefixtures("sleep_calls")
def test_what_otpiq_echoes_of_a_person_is_not_shown(
    hook: OtpiqHook, requests_mock: Mocker, logged: Callable[[], str], what: str, status: int, said: str
) -> None:
    url = ATTACH_URL if what == "attach_recipients" else SAMPLE_URL
    headers = {"Location": "/Basra", "Content-Type": "Basra"}
    requests_mock.post(url, status_code=status, json={"success": False, "error": said}, headers=headers)
    with pytest.raises(OtpiqApiError) as caught:
        getattr(hook, what)(campaign_id=CAMPAIGN_ID, recipients=[PERSON])
    assert caught.value.server_message == "OTPIQ's message repeats a recipient's data and is not shown"
    seen = "".join(traceback.format_exception(caught.value)) + f"{caught.value.server_message}{logged()}"
    for name in ("zaynab", "rashid", "25,000", "basra", "-1.25", "7701234567", "770 123 4567"):
        assert name not in seen.lower()


def test_a_retried_attach_is_recognized_whatever_the_values_are(hook: OtpiqHook, requests_mock: Mocker) -> None:
    said = "All of these recipients are already on this campaign"
    requests_mock.post(ATTACH_URL, status_code=400, json={"error": said})
    values = [*said.split(), "Ready", "This Friday", "Summer Campaign", "on this campaign", "read"]
    body = {str(index): value for index, value in enumerate(values)}
    assert attach(hook, {"phoneNumber": ALI, "templateParameters": {"body": body}}).attached == 0


# What is sent at most once


@pytest.mark.parametrize("call", [sample, start])
@pytest.mark.parametrize(
    "fault",
    [
        {"status_code": 503, "headers": {"Retry-After": "3"}},
        {"exc": AirflowTaskTimeout("Timeout, PID: 1")},
        {"exc": SystemExit(1)},
    ],
    ids=str,
)
def test_an_unknown_outcome_fails_after_one_request(
    hook: OtpiqHook, requests_mock: Mocker, call: Callable[[OtpiqHook], Any], fault: dict[str, Any]
) -> None:
    requests_mock.post(f"{CAMPAIGN_URL}/{call.__name__}", **fault)
    with pytest.raises(OtpiqOutcomeUnknownError) as caught:
        call(hook)
    assert isinstance(caught.value, AirflowFailException)
    assert caught.value.retry_after is None
    assert len(requests_mock.request_history) == 1


@pytest.mark.parametrize("call", [sample, start])
def test_a_timeout_between_two_requests_is_the_tasks_own(
    hook: OtpiqHook, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, call: Callable[[OtpiqHook], Any]
) -> None:
    requests_mock.post(f"{CAMPAIGN_URL}/{call.__name__}", status_code=429)

    def time_is_over(seconds: float) -> None:
        raise AirflowTaskTimeout("Timeout, PID: 1")

    monkeypatch.setattr("time.sleep", time_is_over)
    with pytest.raises(AirflowTaskTimeout):
        call(hook)


def test_only_what_is_sent_at_most_once_has_unknown_outcomes(hook: OtpiqHook, requests_mock: Mocker) -> None:
    timeout: Any = AirflowTaskTimeout("Timeout, PID: 1")
    requests_mock.post(ATTACH_URL, exc=timeout)
    with pytest.raises(AirflowTaskTimeout):
        attach(hook)


def test_null_values_are_applied_once(connect: Callable[..., OtpiqHook], requests_mock: Mocker) -> None:
    requests_mock.post(ATTACH_URL, json=RESPONSE)
    row = {"phoneNumber": ALI, "templateParameters": {"body": {"1": "None"}}}
    valid = connect(extra={"max_recipients": 5}).check_recipients(
        campaign_id=CAMPAIGN_ID, recipients=[row], validate_parameters=False, null_values=[]
    )
    other = connect(extra={"max_recipients": 6})  # which checks them again
    for recipients, body in ((valid, {"1": "None"}), ([row], {})):
        other.attach_recipients(campaign_id=CAMPAIGN_ID, recipients=recipients)
        sent = {"phoneNumber": ALI, "templateParameters": {"body": body}}
        assert requests_mock.request_history[-1].json() == {"recipients": [sent]}


def test_the_numbers_of_a_report_are_parsed_like_those_of_recipients(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE_URL}/reports/generate", json={"_id": "1", "downloadUrl": "https://x", "recordCount": 0})
    hook.generate_report(**WINDOW, phone_numbers=[*SPELLINGS, *(written for written, _ in ABROAD)])
    asked = requests_mock.request_history[0].json()["phoneNumbers"]
    assert asked == [f"+{digits}" for digits in (*[NUMBER] * len(SPELLINGS), *(digits for _, digits in ABROAD))]
    for written in REJECTED:
        with pytest.raises(OtpiqValidationError) as caught:
            hook.generate_report(**WINDOW, phone_numbers=[NUMBER, written])
        assert caught.value.errors[0].startswith("phone_numbers: [1] ")
