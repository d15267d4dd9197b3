"""Templates and numbers by name: one set of resources for each rule, and the sandbox's own."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.campaigns import UpdateCampaign
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CAMPAIGN_ID

NUMBER, OTHER_NUMBER = "9647701234567", "9647801234567"


def template(
    template_id: str, name: str = "promo", language: str | None = "ar", status: str | None = "APPROVED"
) -> Any:
    return {"id": template_id, "name": name, "language": language, "category": "MARKETING", "status": status}


def number(number_id: str, digits: str = NUMBER, status: str | None = "CONNECTED") -> Any:
    return {"id": number_id, "phoneNumber": f"+{digits}", "verifiedName": "Shop", "status": status}


def account(templates: list[Any] | None, numbers: list[Any] | None) -> Any:
    return {"phoneNumbers": numbers, "templates": templates}


def found(*accounts: Any, **wanted: Any) -> dict[str, str]:
    """Return the ids that an update would send."""
    request = UpdateCampaign.model_construct(campaign_id=CAMPAIGN_ID, **wanted)
    resolved = request.resolve_ids({"businesses": [{"whatsappAccounts": list(accounts)}]})
    ids = {name: getattr(resolved, name) for name in ("template_id", "phone_number_id")}
    return {name: value for name, value in ids.items() if value is not None}


def refused(*accounts: Any, **wanted: str) -> str:
    with pytest.raises(OtpiqValidationError) as caught:
        found(*accounts, **wanted)
    (error,) = caught.value.errors
    assert error in str(caught.value)
    return str(caught.value)


ONE = account([template("1"), template("2", "news")], [number("3")])


def test_a_name_and_a_number_become_ids() -> None:
    assert found(ONE, template_name="news", phone_number=NUMBER) == {"template_id": "2", "phone_number_id": "3"}
    assert found(ONE, template_name="news") == {"template_id": "2"}
    assert found(ONE, phone_number=NUMBER) == {"phone_number_id": "3"}


def test_a_language_chooses_among_templates_of_one_name(snapshot: SnapshotAssertion) -> None:
    both = account([template("1"), template("2", language="en_US")], [])
    assert found(both, template_name="promo", template_language="ar") == {"template_id": "1"}
    assert found(both, template_name="promo", template_language="en-us") == {"template_id": "2"}
    assert refused(both, template_name="promo") == snapshot


@pytest.mark.parametrize("status", ["PENDING", "REJECTED", "", None])
def test_only_approved_templates_and_connected_numbers_count(status: str | None, snapshot: SnapshotAssertion) -> None:
    only = account([template("1", status=status), template("2", "news")], [number("3", status=status)])
    texts = [refused(only, template_name="promo"), refused(only, phone_number=NUMBER)]
    if status == "PENDING":
        assert texts == snapshot


def test_both_must_be_of_one_account() -> None:
    shop = account([template("ab1", status="approved")], [number("cd3")])
    branch = account([template("ab2", "news")], [number("cd4", OTHER_NUMBER)])
    for wanted in (
        {"template_name": "promo", "phone_number": OTHER_NUMBER},
        {"template_name": "promo", "phone_number_id": "CD4"},
        {"template_id": "AB1", "phone_number": OTHER_NUMBER},
    ):
        assert "belong to different" in refused(shop, branch, **wanted)
    assert found(shop, branch, template_name="promo", phone_number_id="CD3")["template_id"] == "ab1"


def test_of_several_accounts_the_shared_one_is_meant() -> None:
    shop, branch = account([template("1")], [number("3")]), account([template("2")], [number("4", OTHER_NUMBER)])
    ids = {"template_id": "2", "phone_number_id": "4"}
    assert found(shop, branch, template_name="promo", phone_number=OTHER_NUMBER) == ids
    assert found(shop, branch, template_name="promo", phone_number_id="3")["template_id"] == "1"
    assert "several match" in refused(shop, branch, template_name="promo")


def test_a_number_in_several_accounts_is_the_one_of_the_templates_account() -> None:
    shop, branch = account([template("1")], [number("3")]), account([template("2", "news")], [number("4")])
    ids = {"template_id": "2", "phone_number_id": "4"}
    assert found(shop, branch, template_name="news", phone_number=NUMBER) == ids
    assert "phone_number_id: several match" in refused(shop, branch, phone_number=NUMBER)


def test_entries_that_lack_something_are_no_obstacle() -> None:
    odd = account([{"id": None, "name": None}, {}, template("1")], [{"phoneNumber": None}, {"id": "9"}, number("3")])
    assert found(odd, template_name="promo", phone_number=NUMBER) == {"template_id": "1", "phone_number_id": "3"}


def test_an_id_that_is_not_listed_is_left_to_otpiq() -> None:
    assert found(ONE, template_name="promo", phone_number_id="x") == {"template_id": "1", "phone_number_id": "x"}
    assert found(ONE, template_id="x", phone_number=NUMBER) == {"template_id": "x", "phone_number_id": "3"}


@pytest.mark.parametrize(
    "nothing",
    [
        {},
        {"businesses": None},
        {"businesses": [{"whatsappAccounts": None}]},
        {"businesses": [{"whatsappAccounts": [{"templates": None}, {}]}]},
    ],
)
def test_missing_lists_and_null_are_empty(nothing: Any) -> None:
    with pytest.raises(OtpiqValidationError, match=r"Available: none\."):
        UpdateCampaign.parse(campaign_id=CAMPAIGN_ID, template_name="promo").resolve_ids(nothing)


def test_the_list_of_templates_is_limited() -> None:
    many = account([template(str(index), f"promo {index}") for index in range(100)], [])
    said = refused(many, template_name="promo")
    assert "and 70 more" in said
    assert len(said.splitlines()) == 32


# Over the sandbox's own


def test_a_create_finds_its_ids(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    campaign = sandbox_hook.create_campaign(
        name="Summer", template_name="summer_promo", template_language="ar", phone_number="0770 123 4567"
    )
    assert (campaign["template"], campaign["phoneNumber"]) == ("665f1c2ab3d4e5f601234567", "665f1c2ab3d4e5f601234568")
    assert [request["path"] for request in sandbox.requests] == ["/api/whatsapp/resources", "/api/whatsapp/campaigns"]
    assert set(sandbox.requests[1]["body"]) == {"name", "templateId", "phoneNumberId"}


def test_an_update_finds_its_ids(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    ids = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
    campaign_id = sandbox_hook.create_campaign(name="Summer", **ids)["_id"]
    sandbox_hook.update_campaign(campaign_id=campaign_id, template_name="order_update", phone_number="+9647701234567")
    assert [request["method"] for request in sandbox.requests] == ["POST", "GET", "PATCH"]  # ids need no resources
    body = {"templateId": "665f1c2ab3d4e5f6012345b2", "phoneNumberId": "665f1c2ab3d4e5f601234568"}
    assert sandbox.requests[-1]["body"] == body


def test_a_wrong_name_creates_nothing(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    with pytest.raises(OtpiqValidationError, match="'winter_promo' in ar \\(PENDING"):
        sandbox_hook.create_campaign(name="Summer", template_name="winter_promo", phone_number="0770 123 4567")
    assert [request["method"] for request in sandbox.requests] == ["GET"]
