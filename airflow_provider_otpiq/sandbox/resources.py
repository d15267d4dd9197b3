"""The resources of the sandbox's project: WhatsApp accounts, their phone numbers and their templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Parameter:
    """A parameter of a template."""

    key: str
    example: str
    required: bool = True
    button: str | None = None
    """The index of its button; None for a body parameter."""

    @property
    def path(self) -> str:
        """Its path in a recipient."""
        place = "body" if self.button is None else f"buttons.{self.button}"
        return f"templateParameters.{place}.{self.key}"

    def to_api(self) -> dict[str, Any]:
        """Return its field in a recipient payload."""
        return {
            "key": self.key,
            "label": f"{'Body' if self.button is None else f'Button {self.button}'} {{{{{self.key}}}}}",
            "required": self.required,
            "example": self.example,
            "templateParametersPath": self.path,
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
        """Return the template object of the resources."""
        return {
            "id": self.id,
            "name": self.name,
            "language": self.language,
            "category": self.category,
            "status": self.status,
            "parameter_format": "POSITIONAL",
        }

    def payload(self) -> dict[str, Any]:
        """Return the ``data`` of a recipient payload."""
        body = {parameter.key: parameter.example for parameter in self.parameters if parameter.button is None}
        buttons = {
            parameter.button: {parameter.key: parameter.example} for parameter in self.parameters if parameter.button
        }
        return {
            "template": {"id": self.id, "name": self.name, "language": self.language},
            "fields": [parameter.to_api() for parameter in self.parameters],
            "exampleRecipient": {
                "phoneNumber": "9647712345678",
                "templateParameters": {"body": body, "header": {}, "buttons": buttons},
            },
        }


@dataclass(frozen=True)
class Number:
    """A phone number that sends messages."""

    id: str
    number: str
    name: str
    messaging_limit: str
    status: str = "CONNECTED"

    def to_api(self) -> dict[str, Any]:
        """Return the phone number object of the resources."""
        return {
            "id": self.id,
            "phoneNumber": self.number.replace(" ", ""),
            "displayPhoneNumber": self.number,
            "verifiedName": self.name,
            "qualityRating": "GREEN",
            "messagingLimit": self.messaging_limit,
            "status": self.status,
        }


@dataclass(frozen=True)
class Account:
    """A WhatsApp account."""

    id: str
    name: str
    numbers: tuple[Number, ...]
    templates: tuple[Template, ...] = field(default=())

    def to_api(self) -> dict[str, Any]:
        """Return the account object of the resources."""
        return {
            "id": self.id,
            "name": self.name,
            "accountReviewStatus": "APPROVED",
            "banState": None,
            "phoneNumbers": [number.to_api() for number in self.numbers],
            "templates": [template.to_api() for template in self.templates],
        }


_PROMO = (Parameter("1", "Ali"), Parameter("2", "10%", required=False))
_TRACKING = (Parameter("1", "Ali"), Parameter("1", "A-1042", button="0"))
ACCOUNTS = (
    Account(
        "665f1c2ab3d4e5f6012345c1",
        "Sandbox shop",
        (
            Number("665f1c2ab3d4e5f601234568", "+964 770 123 4567", "Sandbox shop", "TIER_1K"),
            Number("665f1c2ab3d4e5f6012345a1", "+964 780 123 4567", "Sandbox shop, new", "TIER_10K", "PENDING"),
        ),
        (
            Template("665f1c2ab3d4e5f601234567", "summer_promo", "ar", parameters=_PROMO),
            Template("665f1c2ab3d4e5f6012345b1", "summer_promo", "en", parameters=_PROMO),
            Template("665f1c2ab3d4e5f6012345b2", "order_update", category="UTILITY"),
            Template("665f1c2ab3d4e5f6012345b6", "order_tracking", category="UTILITY", parameters=_TRACKING),
            Template("665f1c2ab3d4e5f6012345b3", "winter_promo", "ar", status="PENDING"),
        ),
    ),
    Account(
        "665f1c2ab3d4e5f6012345c2",
        "Sandbox branch",
        (Number("665f1c2ab3d4e5f6012345a2", "+964 750 123 4567", "Sandbox branch", "TIER_UNLIMITED"),),
        (
            Template("665f1c2ab3d4e5f6012345b4", "branch_news", "ar"),
            Template("665f1c2ab3d4e5f6012345b5", "order_update", category="UTILITY"),
        ),
    ),
)
_TEMPLATE_BY_ID = {template.id: template for account in ACCOUNTS for template in account.templates}
_ACCOUNT_BY_TEMPLATE_ID = {template.id: account for account in ACCOUNTS for template in account.templates}
_NAME_BY_NUMBER_ID = {number.id: number.name for account in ACCOUNTS for number in account.numbers}
_ACCOUNT_BY_NUMBER_ID = {number.id: account for account in ACCOUNTS for number in account.numbers}


def template_by_id(template_id: str) -> Template:
    """Return the template; for an unknown id, one without parameters."""
    return _TEMPLATE_BY_ID.get(template_id.lower()) or Template(template_id, "unknown")


def same_account(template_id: str, number_id: str) -> bool:
    """Return whether a template and a number may belong to one account; False only for the sandbox's own ids."""
    of_template = _ACCOUNT_BY_TEMPLATE_ID.get(template_id.lower())
    of_number = _ACCOUNT_BY_NUMBER_ID.get(number_id.lower())
    return of_template is None or of_number is None or of_template is of_number


def sender_name(number_id: str) -> str:
    """Return the sender's name of messages from a phone number."""
    return _NAME_BY_NUMBER_ID.get(number_id.lower(), "Sandbox")


class ResourceChanges:
    """Changed fields of resources, such as the status of a template."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, str | None]] = {}

    def change(self, resource_id: str, fields: Mapping[str, str | None]) -> None:
        """
        Change fields of an account, a phone number or a template.

        :raises ValueError: if the resource or a field does not exist; the text lists those that do.
        """
        known = {resource["id"]: resource for resource in _resources(to_api(self))}
        if resource_id not in known:
            raise ValueError(f"id: no resource has the id {resource_id!r}; the ids are {', '.join(known)}")
        names = [name for name, value in known[resource_id].items() if name != "id" and not isinstance(value, list)]
        if unknown := [name for name in fields if name not in names]:
            raise ValueError(f"{', '.join(unknown)}: not a field of this resource; its fields are {', '.join(names)}")
        self._by_id.setdefault(resource_id, {}).update(fields)

    def apply(self, resource: dict[str, Any]) -> None:
        """Change a resource as the API returns it."""
        resource.update(self._by_id.get(resource["id"], {}))

    def clear(self) -> None:
        """Undo all changes."""
        self._by_id.clear()


def _resources(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for business in data["businesses"]:
        for account in business["whatsappAccounts"]:
            yield from (account, *account["phoneNumbers"], *account["templates"])


def to_api(changes: ResourceChanges) -> dict[str, Any]:
    """Return the ``data`` of the response."""
    data = _unchanged()
    for resource in _resources(data):
        changes.apply(resource)
    return data


def _unchanged() -> dict[str, Any]:
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
