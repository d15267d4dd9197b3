"""A campaign's recipients, sample, start and resources."""

from typing import Any

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    PAYLOAD,
    accounts,
    attach,
    call,
    control,
    create,
    created_id,
    ids_of_template,
    people,
    sample,
    start,
    tomorrow,
    update,
    with_recipients,
)

pytestmark = pytest.mark.slow

UNKNOWN = "6" * 24
NUMBER = "9647712345678"
ALI = {"body": {"1": "Ali"}}
BAD_NUMBERS: list[Any] = [
    *(None, int(NUMBER), f"+{NUMBER}", "964 771 234 5678", f"{NUMBER}\n", f" {NUMBER}"),
    *("٩٦٤٧٧١٢٣٤٥٦٧٨", "\ud800", "1" * 9, "1" * 16),
]
BAD_PARAMETERS: list[Any] = [
    *(None, [], {"body": "Ali"}, {"body": None}),
    *({"body": {"1": value}} for value in (True, ["Ali"], {"a": 1}, 5)),
]
BAD_RECIPIENTS: list[Any] = [
    *([], None, {}, NUMBER, [None], [[]], [NUMBER], [{}]),
    *([{"phoneNumber": number}] for number in BAD_NUMBERS),
    *([{"phoneNumber": NUMBER, "templateParameters": parameters}] for parameters in BAD_PARAMETERS),
    *([{"phone_number": NUMBER}], [{"phoneNumber": NUMBER, "name": "Ali"}]),
    *([*people(3), {"phoneNumber": "1"}], people(1001), people(1) * 1001),
]
BAD_BODIES: list[Any] = [
    *({}, {"recipients": people(1), "notify": True}),
    *({"recipients": recipients} for recipients in BAD_RECIPIENTS),
]


def test_attach_returns_the_campaign_with_its_recipients(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    response = attach(sandbox, campaign_id, {"phoneNumber": "1" * 10}, {"phoneNumber": "1" * 15})
    assert (response.status_code, response.json()["success"]) == (200, True)
    data = response.json()["data"]
    assert (data["_id"], data["totalRecipients"], data["estimatedTotalCost"]) == (campaign_id, 2, 24)
    assert (data["startedAt"], data["sentCount"], data["reservedAmount"]) == (None, 0, 0)
    assert sandbox.campaigns[0]["status"] == "draft"


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: ascii(body)[:80])
@pytest.mark.parametrize("call_name", ["recipients", "sample"])
def test_invalid_recipients_return_400_and_change_nothing(sandbox: Sandbox, call_name: str, body: Any) -> None:
    campaign_id = with_recipients(sandbox, *people(1, first=5000))
    before = sandbox.campaigns
    response = call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/{call_name}", body)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert sandbox.campaigns == before


def test_only_numbers_that_are_on_the_same_campaign_are_skipped(sandbox: Sandbox) -> None:
    with_recipients(sandbox, *people(4))
    campaign_id = with_recipients(sandbox, *people(3))
    assert attach(sandbox, campaign_id, *people(3, first=2)).json()["data"]["totalRecipients"] == 4


def test_attach_is_idempotent_but_a_retry_returns_400(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(3))
    before = sandbox.campaigns
    response = attach(sandbox, campaign_id, *people(3))
    assert (response.status_code, "already" in response.json()["error"]) == (400, True)
    assert attach(sandbox, campaign_id, *people(1), *people(1)).status_code == 400
    assert sandbox.campaigns == before


def test_a_campaign_holds_1000_recipients_in_all(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(998))
    before = sandbox.campaigns
    response = attach(sandbox, campaign_id, *people(3, first=999))
    assert (response.status_code, "1000" in response.json()["error"]) == (400, True)
    assert sandbox.campaigns == before
    assert attach(sandbox, campaign_id, *people(3, first=998)).json()["data"]["totalRecipients"] == 1000
    assert "already" in attach(sandbox, campaign_id, *people(1000)).json()["error"]
    assert attach(sandbox, campaign_id, *people(1, first=1001)).status_code == 400
    assert sandbox.campaigns[0]["totalRecipients"] == 1000


def test_the_numbers_on_a_campaign_can_be_listed(sandbox: Sandbox) -> None:
    first = with_recipients(sandbox, *people(3), *people(2))
    attach(sandbox, first, *people(3, first=3))
    other = sample(sandbox, first, *people(2, first=7)).json()["data"]["_id"]
    numbers = {first: [person["phoneNumber"] for person in people(5)]}
    numbers |= {other: [person["phoneNumber"] for person in people(2, first=7)], created_id(sandbox): []}
    for campaign_id, expected in numbers.items():
        assert sandbox.recipients(campaign_id) == sandbox.recipients(campaign_id.upper()) == expected
        assert control(sandbox, "GET", f"/_sandbox/campaigns/{campaign_id}/recipients")["recipients"] == expected
    state = str(control(sandbox, "GET", "/_sandbox/state"))
    assert not any(person["phoneNumber"] in state for person in people(8))


def test_an_unknown_campaign_has_no_numbers(sandbox: Sandbox) -> None:
    with pytest.raises(LookupError, match=UNKNOWN):
        sandbox.recipients(UNKNOWN)
    assert control(sandbox, "GET", f"/_sandbox/campaigns/{UNKNOWN}/recipients") == {"message": "Campaign not found"}


@pytest.mark.parametrize("call_name", ["recipients", "sample"])
@pytest.mark.parametrize("parameters", [{}, {"body": {}}, {"body": {"2": "10%"}}, {"header": {}}])
def test_a_missing_required_parameter_returns_400(sandbox: Sandbox, call_name: str, parameters: dict[str, Any]) -> None:
    campaign_id = created_id(sandbox, **ids_of_template(sandbox, "summer_promo"))
    first, second = people(2)
    recipients = [first | {"templateParameters": ALI}, second | {"templateParameters": parameters}]
    response = call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/{call_name}", {"recipients": recipients})
    assert response.status_code == 400
    assert "recipients.1.templateParameters.body.1" in response.json()["error"]
    assert [campaign["totalRecipients"] for campaign in sandbox.campaigns] == [0]


def test_an_optional_parameter_may_be_omitted(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox, **ids_of_template(sandbox, "summer_promo"))
    assert attach(sandbox, campaign_id, {"phoneNumber": NUMBER, "templateParameters": ALI}).status_code == 200


@pytest.mark.parametrize("schedule", [{}, {"scheduleType": "schedule", "scheduledFor": tomorrow()}])
def test_a_draft_or_scheduled_campaign_takes_recipients_and_starts(sandbox: Sandbox, schedule: dict[str, Any]) -> None:
    campaign_id = with_recipients(sandbox, *people(1000), **schedule)
    assert start(sandbox, sandbox.campaigns[0]["campaignId"]).status_code == 404  # not the id of a path
    response = start(sandbox, campaign_id)
    assert (response.status_code, response.json()["success"]) == (200, True)
    data = response.json()["data"]
    assert data["startedAt"] == data["updatedAt"] > data["createdAt"]
    assert (data["completedAt"], data["isSampleCampaign"], "status" in data) == (None, False, False)
    assert sandbox.campaigns[0]["status"] == "running"


@pytest.mark.parametrize(("seconds", "status"), [(0, "running"), (3600, "completed")])
def test_a_started_campaign_cannot_be_changed_or_started_again(sandbox: Sandbox, seconds: int, status: str) -> None:
    campaign_id = with_recipients(sandbox, *people(999))
    start(sandbox, campaign_id)
    sandbox.move_clock(seconds=seconds)
    (before,) = sandbox.campaigns
    assert before["status"] == status
    for response in (
        start(sandbox, campaign_id),
        attach(sandbox, campaign_id, *people(1, first=5000)),
        update(sandbox, campaign_id, name="Too late"),
    ):
        assert (response.status_code, "draft or scheduled" in response.json()["error"]) == (400, True)
    (after,) = sandbox.campaigns
    for unchanged in ("name", "totalRecipients", "startedAt", "updatedAt", "status"):
        assert after[unchanged] == before[unchanged]


def test_a_campaign_without_recipients_is_not_started(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    response = start(sandbox, campaign_id)
    assert (response.status_code, "without recipients" in response.json()["error"]) == (400, True)
    assert sandbox.campaigns[0]["status"] == "draft"


def test_a_sample_is_a_separate_campaign_and_does_not_change_its_parent(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(5))
    before = sandbox.campaigns
    response = sample(sandbox, campaign_id.upper(), *people(2), *people(2))
    assert (response.status_code, response.json()["success"]) == (201, True)
    data = response.json()["data"]
    assert (data["isSampleCampaign"], data["sampleOfCampaign"]) == (True, campaign_id)
    assert (data["template"], data["phoneNumber"]) == (CREATE_BODY["templateId"], CREATE_BODY["phoneNumberId"])
    assert (data["totalRecipients"], data["reservedAmount"]) == (2, 24)
    assert data["startedAt"]
    parent, other = sandbox.campaigns
    assert [parent] == before
    assert other["_id"] == data["_id"] != campaign_id
    assert other["campaignId"] != parent["campaignId"]
    assert (parent["isSampleCampaign"], parent["sampleOfCampaign"]) == (False, None)


def test_a_sample_has_the_category_of_its_campaign_and_a_name_of_at_most_80_characters(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox, name="x" * 80)
    update(sandbox, campaign_id, category="UTILITY")
    data = sample(sandbox, campaign_id, *people(2)).json()["data"]
    assert (data["estimatedTotalCost"], len(data["name"]) <= 80) == (12, True)


def test_the_resources(sandbox: Sandbox) -> None:
    response = call(sandbox, "GET", "/whatsapp/resources").json()
    known = accounts(sandbox)
    numbers = [number for account in known for number in account["phoneNumbers"]]
    templates = [template for account in known for template in account["templates"]]
    assert response["success"] is True
    assert response["data"]["project"]
    summary = {"businesses": 1, "whatsappAccounts": 2, "phoneNumbers": len(numbers), "templates": len(templates)}
    assert response["data"]["summary"] == summary
    for listed in (numbers, templates):
        assert len({resource["id"] for resource in listed}) == len(listed)
    for number in numbers:
        assert number.keys() == {
            *("id", "phoneNumber", "displayPhoneNumber", "verifiedName", "qualityRating", "messagingLimit", "status")
        }
        assert number["phoneNumber"] == number["displayPhoneNumber"].replace(" ", "")
        assert number["phoneNumber"].startswith("+964")
    assert [number["messagingLimit"] for number in numbers] == ["TIER_1K", "TIER_10K", "TIER_UNLIMITED"]
    for template in templates:
        assert template.keys() == {"id", "name", "language", "category", "status", "parameter_format"}
        assert template["category"] in ("MARKETING", "UTILITY")
    assert {len(bytes.fromhex(resource["id"])) for resource in numbers + templates} == {12}
    assert sandbox.campaigns == []


@pytest.mark.parametrize("key", ["templateId", "_id", "campaignId"])
def test_the_payload_of_a_template_and_of_a_campaign(sandbox: Sandbox, key: str) -> None:
    ids = ids_of_template(sandbox, "summer_promo")
    campaign_id = created_id(sandbox, **ids)
    query_id = ids["templateId"] if key == "templateId" else campaign_id
    response = call(sandbox, "GET", f"{PAYLOAD}?{key}={query_id.upper()}").json()
    assert response["success"] is True
    assert response["data"]["template"] == {"id": ids["templateId"], "name": "summer_promo", "language": "ar"}
    first, second = response["data"]["fields"]
    assert first == {
        "key": "1",
        "label": "Body {{1}}",
        "required": True,
        "example": "Ali",
        "templateParametersPath": "templateParameters.body.1",
    }
    assert (second["key"], second["required"]) == ("2", False)
    assert attach(sandbox, campaign_id, response["data"]["exampleRecipient"]).status_code == 200


def test_a_parameter_of_a_button_is_nested(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox, **ids_of_template(sandbox, "order_tracking"))
    payload = call(sandbox, "GET", f"{PAYLOAD}?_id={campaign_id}").json()["data"]
    assert payload["fields"][1] == {
        "key": "1",
        "label": "Button 0 {{1}}",
        "required": True,
        "example": "A-1042",
        "templateParametersPath": "templateParameters.buttons.0.1",
    }
    assert attach(sandbox, campaign_id, payload["exampleRecipient"]).status_code == 200
    lacking: list[Any] = [{}, {"0": {}}, {"0": "A-1042"}, {"0": {"2": "A-1042"}}]
    for buttons in lacking:
        parameters = ALI | {"buttons": buttons}
        response = attach(sandbox, campaign_id, {"phoneNumber": NUMBER, "templateParameters": parameters})
        assert response.status_code == 400
        assert response.json()["error"] == "recipients.0.templateParameters.buttons.0.1 is required"


def test_the_payload_follows_the_campaigns_template(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    assert call(sandbox, "GET", f"{PAYLOAD}?_id={campaign_id}").json()["data"]["fields"] == []
    update(sandbox, campaign_id, templateId=ids_of_template(sandbox, "summer_promo")["templateId"])
    assert len(call(sandbox, "GET", f"{PAYLOAD}?_id={campaign_id}").json()["data"]["fields"]) == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?_id=", 400),
        ("?templateId=x", 400),
        (f"?templateId={UNKNOWN}0", 400),
        (f"?templateId={UNKNOWN}", 200),
        (f"?_id={UNKNOWN}", 404),
        (f"?campaignId={UNKNOWN}", 404),
        ("?_id=recipient-payload", 404),
    ],
)
def test_the_payload_of_a_missing_or_unknown_id(sandbox: Sandbox, query: str, status: int) -> None:
    response = call(sandbox, "GET", PAYLOAD + query)
    assert response.status_code == status
    if status == 200:
        assert response.json()["data"]["fields"] == []


@pytest.mark.parametrize("campaign_id", [UNKNOWN, "x", "recipient-payload", NUMBER])
@pytest.mark.parametrize("call_name", ["/recipients", "/sample", "/start", ""])
def test_a_call_for_an_unknown_campaign_returns_404(sandbox: Sandbox, call_name: str, campaign_id: str) -> None:
    method, body = ("POST", {"recipients": people(1)}) if call_name else ("PATCH", {"name": "Winter"})
    response = call(sandbox, method, f"{CAMPAIGNS}/{campaign_id}{call_name}", body)
    assert (response.status_code, response.json()) == (404, {"message": "Campaign not found"})


def test_a_known_template_and_number_must_be_of_one_account(sandbox: Sandbox) -> None:
    first, other = accounts(sandbox)
    for template in first["templates"]:
        for number, status in [(first["phoneNumbers"][-1], 201), (other["phoneNumbers"][0], 400)]:
            response = create(sandbox, templateId=template["id"].upper(), phoneNumberId=number["id"].upper())
            assert response.status_code == status
            assert status == 201 or "same WhatsApp Business Account" in response.json()["error"]
    assert len(sandbox.campaigns) == len(first["templates"])


def test_an_update_to_another_account_changes_nothing(sandbox: Sandbox) -> None:
    mine, other = ids_of_template(sandbox, "summer_promo"), ids_of_template(sandbox, "branch_news")
    campaign_id = created_id(sandbox, **mine)
    before = sandbox.campaigns
    for field in mine:
        assert update(sandbox, campaign_id, **{field: other[field]}, name="Winter").status_code == 400
    assert sandbox.campaigns == before
    assert update(sandbox, campaign_id, **other).status_code == 200
    assert sandbox.campaigns[0]["template"] == other["templateId"]


def test_unknown_ids_match_every_account(sandbox: Sandbox) -> None:
    ids = ids_of_template(sandbox, "branch_news")
    assert create(sandbox, **ids | {"templateId": UNKNOWN}).status_code == 201
    assert create(sandbox, **ids | {"phoneNumberId": UNKNOWN}).status_code == 201
    campaign_id = created_id(sandbox, templateId=UNKNOWN, phoneNumberId=UNKNOWN)
    for field, value in ids.items():
        assert update(sandbox, campaign_id, **{field: value}).status_code == 200
