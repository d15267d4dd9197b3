"""Templates and numbers by name: by resources made for each rule, and over the sandbox's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._models.resources import ResourceLookup, Resources
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

SHOP, BRANCH = "a" * 24, "b" * 24
NUMBER, OTHER_NUMBER = "9647701234567", "9647801234567"


def template(
    template_id: str, name: str = "promo", language: str | None = "ar", status: str | None = "APPROVED"
) -> Any:
    return {"id": template_id, "name": name, "language": language, "category": "MARKETING", "status": status}


def number(number_id: str, digits: str = NUMBER, status: str | None = "CONNECTED") -> Any:
    return {"id": number_id, "phoneNumber": f"+{digits}", "verifiedName": "Shop", "status": status}


def account(templates: list[Any] | None, numbers: list[Any] | None) -> Any:
    return {"phoneNumbers": numbers, "templates": templates}


def found(*accounts: Any, **wanted: str) -> dict[str, str]:
    businesses = [{"whatsappAccounts": list(accounts)}]
    return ResourceLookup(**wanted).resolve(Resources.model_validate({"businesses": businesses}))


def refused(*accounts: Any, **wanted: str) -> str:
    with pytest.raises(OtpiqValidationError) as caught:
        found(*accounts, **wanted)
    return str(caught.value)


ONE = account([template("1"), template("2", "news")], [number("3")])


def test_a_name_and_a_number_become_ids() -> None:
    assert found(ONE, template_name="news", phone_number=NUMBER) == {"template_id": "2", "phone_number_id": "3"}
    assert found(ONE, template_name="news") == {"template_id": "2"}
    assert found(ONE, phone_number=NUMBER) == {"phone_number_id": "3"}


def test_a_language_chooses_among_templates_of_one_name() -> None:
    both = account([template("1"), template("2", language="en_US")], [])
    assert found(both, template_name="promo", template_language="ar") == {"template_id": "1"}
    assert found(both, template_name="promo", template_language="en-us") == {"template_id": "2"}
    said = refused(both, template_name="promo")
    assert "template_id: several match; set template_language or template_id" in said
    assert "'promo' in ar (APPROVED, template_id 1)" in said
    assert "'promo' in en_US (APPROVED, template_id 2)" in said


@pytest.mark.parametrize("status", ["PENDING", "REJECTED", "", None])
def test_only_approved_templates_and_connected_numbers_count(status: str | None) -> None:
    only = account([template("1", status=status), template("2", "news")], [number("3", status=status)])
    said = refused(only, template_name="promo")
    assert "there is no approved template 'promo'" in said
    assert f"'promo' in ar ({status}, template_id 1)" in said
    assert "'news'" in said
    said = refused(only, phone_number=NUMBER)
    assert "964770•••4567 is no connected number" in said
    assert f"964770•••4567 'Shop' ({status}, phone_number_id 3)" in said


def test_a_small_status_is_the_same() -> None:
    assert found(account([template("1", status="approved")], []), template_name="promo") == {"template_id": "1"}


def test_both_have_to_be_of_one_account() -> None:
    shop, branch = (
        account([template("1")], [number("3")]),
        account([template("2", "news")], [number("4", OTHER_NUMBER)]),
    )
    said = refused(shop, branch, template_name="promo", phone_number=OTHER_NUMBER)
    assert "belong to different WhatsApp accounts" in said
    assert "belong to different" in refused(shop, branch, template_name="promo", phone_number_id="4")
    assert "belong to different" in refused(shop, branch, template_id="1", phone_number=OTHER_NUMBER)


def test_of_several_accounts_the_shared_one_is_meant() -> None:
    shop, branch = account([template("1")], [number("3")]), account([template("2")], [number("4", OTHER_NUMBER)])
    assert found(shop, branch, template_name="promo", phone_number=OTHER_NUMBER) == {
        "template_id": "2",
        "phone_number_id": "4",
    }
    assert found(shop, branch, template_name="promo", phone_number_id="3")["template_id"] == "1"
    assert "several match" in refused(shop, branch, template_name="promo")


def test_a_number_in_several_accounts_is_the_one_of_the_templates_account() -> None:
    shop, branch = account([template("1")], [number("3")]), account([template("2", "news")], [number("4")])
    assert found(shop, branch, template_name="news", phone_number=NUMBER) == {
        "template_id": "2",
        "phone_number_id": "4",
    }
    assert "phone_number_id: several match" in refused(shop, branch, phone_number=NUMBER)


def test_an_id_in_capitals_is_the_same() -> None:
    shop, branch = (
        account([template("ab1")], [number("cd3")]),
        account([template("ab2")], [number("cd4", OTHER_NUMBER)]),
    )
    assert found(shop, branch, template_name="promo", phone_number_id="CD4")["template_id"] == "ab2"
    assert "belong to different" in refused(shop, branch, template_id="AB1", phone_number=OTHER_NUMBER)


def test_entries_that_lack_something_are_no_obstacle() -> None:
    odd = account([{"id": None, "name": None}, {}, template("1")], [{"phoneNumber": None}, {"id": "9"}, number("3")])
    assert found(odd, template_name="promo", phone_number=NUMBER) == {"template_id": "1", "phone_number_id": "3"}


def test_an_id_that_is_not_listed_is_left_to_otpiq() -> None:
    assert found(ONE, template_name="promo", phone_number_id="unknown") == {"template_id": "1"}
    assert found(ONE, template_id="unknown", phone_number=NUMBER) == {"phone_number_id": "3"}


@pytest.mark.parametrize("nothing", [{}, {"businesses": None}, {"businesses": [{"whatsappAccounts": None}]}])
def test_a_project_that_has_nothing_is_an_error_that_says_so(nothing: Any) -> None:
    with pytest.raises(OtpiqValidationError, match="There is: nothing"):
        ResourceLookup(template_name="promo").resolve(Resources.model_validate(nothing))


def test_lists_that_are_missing_or_null_are_empty() -> None:
    assert "There is: nothing" in refused({"templates": None}, {}, template_name="promo")


def test_many_templates_are_not_all_listed() -> None:
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
    assert sandbox.requests[-1]["body"] == {
        "templateId": "665f1c2ab3d4e5f6012345b2",
        "phoneNumberId": "665f1c2ab3d4e5f601234568",
    }


def test_ids_alone_ask_for_no_resources(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    sandbox_hook.create_campaign(name="Summer", template_id=SHOP, phone_number_id=BRANCH)
    assert [request["method"] for request in sandbox.requests] == ["POST"]


def test_a_wrong_name_creates_nothing(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    with pytest.raises(OtpiqValidationError, match="'winter_promo' in ar \\(PENDING"):
        sandbox_hook.create_campaign(name="Summer", template_name="winter_promo", phone_number="0770 123 4567")
    assert [request["method"] for request in sandbox.requests] == ["GET"]
