"""What the sandbox's project has: WhatsApp accounts, their numbers and their templates. It is always the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """What a recipient carries for a template."""

    key: str
    example: str
    required: bool = True

    def to_api(self) -> dict[str, Any]:
        """Make it a field of the recipient payload."""
        return {
            "key": self.key,
            "label": f"Body {{{{{self.key}}}}}",
            "required": self.required,
            "example": self.example,
            "templateParametersPath": f"templateParameters.body.{self.key}",
        }


@dataclass(frozen=True)
class Template:
    """A message template."""

    id: str
    name: str
    language: str = "en"
    category: str = "MARKETING"
    status: str = "APPROVED"
    parameters: tuple[Parameter, ...] = ()

    def to_api(self) -> dict[str, Any]:
        """Make it a template of the resources."""
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "category": self.category,
            "status": self.status,
            "parameter_format": "POSITIONAL",
        }

    def payload(self) -> dict[str, Any]:
        """Make the recipient payload."""
        examples = {parameter.key: parameter.example for parameter in self.parameters}
        return {
            "template": {"id": self.id, "name": self.name, "language": self.language},
            "fields": [parameter.to_api() for parameter in self.parameters],
            "exampleRecipient": {
                "phoneNumber": "9647712345678",
                "templateParameters": {"body": examples, "header": {}, "buttons": {}},
            },
        }


@dataclass(frozen=True)
class Number:
    """A phone number that sends."""

    id: str
    number: str
    name: str
    status: str = "CONNECTED"

    def to_api(self) -> dict[str, Any]:
        """Make it a phone number of the resources."""
        return {
            "id": self.id,
            "phoneNumber": self.number.replace(" ", ""),
            "displayPhoneNumber": self.number,
            "verifiedName": self.name,
            "qualityRating": "GREEN",
            "messagingLimit": "TIER_1K",
            "status": self.status,
        }


@dataclass(frozen=True)
class Account:
    """A WhatsApp account."""

    name: str
    numbers: tuple[Number, ...]
    templates: tuple[Template, ...] = field(default=())

    def to_api(self) -> dict[str, Any]:
        """Make it an account of the resources."""
        return {
            "name": self.name,
            "phoneNumbers": [number.to_api() for number in self.numbers],
            "templates": [template.to_api() for template in self.templates],
        }


_PROMO = (Parameter("1", "Ali"), Parameter("2", "10%", required=False))
ACCOUNTS = (
    Account(
        "Sandbox shop",
        (
            Number("665f1c2ab3d4e5f601234568", "+964 770 123 4567", "Sandbox shop"),
            Number("665f1c2ab3d4e5f6012345a1", "+964 780 123 4567", "Sandbox shop, new", "PENDING"),
        ),
        (
            Template("665f1c2ab3d4e5f601234567", "summer_promo", "ar", parameters=_PROMO),
            Template("665f1c2ab3d4e5f6012345b1", "summer_promo", "en", parameters=_PROMO),
            Template("665f1c2ab3d4e5f6012345b2", "order_update", category="UTILITY"),
            Template("665f1c2ab3d4e5f6012345b3", "winter_promo", "ar", status="PENDING"),
        ),
    ),
    Account(
        "Sandbox branch",
        (Number("665f1c2ab3d4e5f6012345a2", "+964 750 123 4567", "Sandbox branch"),),
        (
            Template("665f1c2ab3d4e5f6012345b4", "branch_news", "ar"),
            Template("665f1c2ab3d4e5f6012345b5", "order_update", category="UTILITY"),
        ),
    ),
)


def template_by_id(template_id: str) -> Template:
    """Find a template; an id that is not among the sandbox's own is a template without parameters."""
    known = {template.id: template for account in ACCOUNTS for template in account.templates}
    return known.get(template_id.lower()) or Template(template_id, "unknown")


def same_account(template_id: str, number_id: str) -> bool:
    """Tell whether a template may be sent from a number, as far as both are the sandbox's own."""
    template_of = {template.id: account for account in ACCOUNTS for template in account.templates}
    number_of = {number.id: account for account in ACCOUNTS for number in account.numbers}
    mine, other = template_of.get(template_id.lower()), number_of.get(number_id.lower())
    return mine is None or other is None or mine is other


def to_api() -> dict[str, Any]:
    """Make the answer's data."""
    accounts = [account.to_api() for account in ACCOUNTS]
    return {
        "project": {"name": "Sandbox project"},
        "summary": {
            "businesses": 1,
            "whatsappAccounts": len(accounts),
            "phoneNumbers": sum(len(account.numbers) for account in ACCOUNTS),
            "templates": sum(len(account.templates) for account in ACCOUNTS),
        },
        "businesses": [{"name": "Sandbox business", "whatsappAccounts": accounts}],
    }
