"""What ``otpiq-check`` reads first and shows: the project, its sending numbers and its templates."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_otpiq._models.campaigns import ProjectInfo
from airflow_provider_otpiq._models.resources import Resources, ResourcesResponse
from airflow_provider_otpiq._recipients.template_parameters import Payload, PayloadResponse
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import format_errors
from airflow_provider_otpiq.check.client import UnknownError
from airflow_provider_otpiq.check.guard import CAMPAIGNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq._models.resources import Account, Template
    from airflow_provider_otpiq.check.evidence import Evidence

Model = TypeVar("Model", bound=BaseModel)

MAX_TEMPLATES = 20
"""How many templates' parameters are read, because each is a request."""
_NAME = re.compile("^example|(name|number|id)$", re.IGNORECASE)
"""The fields with names, phone numbers, ids and examples."""


class Message(NamedTuple):
    """What the draft would send."""

    template_id: str
    phone_number_id: str
    parameters: dict[str, Any]
    """Example values of the template's parameters, as OTPIQ returns them."""


def read_project(evidence: Evidence) -> None:
    """
    Read the project.

    :raises UnknownError: if nothing can be read; the text is the first reason.
    """
    evidence.ask("info", "GET", "/info")
    evidence.ask("resources", "GET", "/whatsapp/resources")
    evidence.ask("reports", "GET", "/reports?limit=1")
    if not any(reply.is_success for reply in evidence.replies.values()):
        reply = evidence.replies.get("info")
        raise UnknownError(f"GET /info returned {reply}" if reply else evidence.reasons["info"])
    for template in _templates(evidence)[:MAX_TEMPLATES]:
        evidence.ask(_payload_name(template), "GET", f"{CAMPAIGNS}/recipient-payload?templateId={template.id}")


def describe_project(evidence: Evidence) -> Iterator[str]:
    """Yield the lines that show the project to its user; phone numbers are masked."""
    try:
        info = _parse(evidence, "info", ProjectInfo)
        credit = "unknown credit" if info.credit is None else f"credit {info.credit:,.0f} IQD"
        yield f"Project: {sanitize(info.project_name)}, {credit}"
    except UnknownError as error:
        yield f"Project: unknown ({error})"
    try:
        accounts = accounts_of(evidence)
    except UnknownError as error:
        yield f"Numbers and templates: unknown ({error})"
        return
    for number in chain.from_iterable(account.numbers for account in accounts):
        limit, quality = sanitize(str(number.messaging_limit)), sanitize(str(number.quality_rating))
        yield f"Number: {number}, limit {limit}, quality {quality}"
    for template in _templates(evidence):
        yield f"Template: {template}, {_describe_parameters(evidence, template)}"


def choose_message(evidence: Evidence) -> Message:
    """
    Choose a template and a number of one account: an approved template with a parameter, if there is one.

    :raises UnknownError: if no account has both.
    """
    choices = [
        (template, account) for account in accounts_of(evidence) if account.numbers for template in account.templates
    ]
    if not choices:
        raise UnknownError("no WhatsApp account has a template and a number")
    template, account = max(choices, key=lambda choice: _preference(evidence, choice[0]))
    number = max(account.numbers, key=lambda number: number.status == "CONNECTED")
    return Message(str(template.id), str(number.id), _example_parameters(evidence, template))


def names_of(evidence: Evidence) -> set[str]:
    """Return the names, phone numbers, ids and examples in all responses, which a bug report must not contain."""
    return set(chain.from_iterable(_names(reply.content) for reply in evidence.replies.values()))


def _names(content: Any, key: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _names(value, key if key.startswith("example") else name)
    elif isinstance(content, list):
        for value in content:
            yield from _names(value, key)
    elif isinstance(content, str) and _NAME.search(key) and content.strip():
        yield content.strip()


def _parse(evidence: Evidence, name: str, model: type[Model]) -> Model:
    reply = evidence[name]
    if not reply.is_success:
        raise UnknownError(f"the response is {reply}")
    try:
        return model.model_validate(reply.content)
    except ValidationError as error:
        raise UnknownError(f"the response is outside OTPIQ's contract: {'; '.join(format_errors(error))}") from None


def accounts_of(evidence: Evidence) -> list[Account]:
    """
    Return the project's WhatsApp accounts.

    :raises UnknownError: if they could not be read.
    """
    resources: Resources = _parse(evidence, "resources", ResourcesResponse).data
    return resources.accounts


def _templates(evidence: Evidence) -> list[Template]:
    """List the templates, the approved ones first."""
    try:
        listed = chain.from_iterable(account.templates for account in accounts_of(evidence))
    except UnknownError:
        return []
    return sorted((template for template in listed if template.id), key=lambda template: template.status != "APPROVED")


def _payload_name(template: Template) -> str:
    return f"parameters of template {template.id}"


def _payload(evidence: Evidence, template: Template) -> Payload:
    return _parse(evidence, _payload_name(template), PayloadResponse).data


def _describe_parameters(evidence: Evidence, template: Template) -> str:
    try:
        fields = _payload(evidence, template).fields
    except UnknownError as error:
        return f"parameters unknown ({error})"
    described = [f"{sanitize(field.path)}{'' if field.required else ' (optional)'}" for field in fields]
    return f"parameters {', '.join(described)}" if described else "no parameters"


def _preference(evidence: Evidence, template: Template) -> tuple[bool, bool]:
    return template.status == "APPROVED", bool(_example_parameters(evidence, template).get("body"))


def _example_parameters(evidence: Evidence, template: Template) -> dict[str, Any]:
    """Return OTPIQ's example of a recipient's parameters; an empty dict if it has none."""
    reply = evidence.replies.get(_payload_name(template))
    value: Any = reply.content if reply else None
    for key in ("data", "exampleRecipient", "templateParameters"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
