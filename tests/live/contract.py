"""
OTPIQ's responses as they are documented, with every field.

The package's models require only what the package needs. These require all that is documented, and list the rest.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from airflow_provider_otpiq._models import campaigns, reports, resources
from airflow_provider_otpiq._recipients import template_parameters

M = TypeVar("M", bound=BaseModel)


class Documented(BaseModel):
    """A response, or a part of one. Fields without a default are required, also if they may be null."""

    model_config = ConfigDict(alias_generator=to_camel, extra="allow", strict=True, hide_input_in_errors=True)


class ProjectInfo(campaigns.ProjectInfo, Documented):
    credit: float


class Campaign(campaigns.Campaign, Documented):
    campaign_id: str
    name: str
    template: str
    phone_number: str
    scheduled_for: AwareDatetime | None
    started_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    total_recipients: int
    sent_count: int
    delivered_count: int
    failed_count: int
    estimated_total_cost: float
    reserved_amount: float
    reconciled_amount: float
    is_sample_campaign: bool
    sample_of_campaign: str | None
    status: str | None = None  # the documentation's text has it, its example does not


class PayloadTemplate(Documented):
    id: str
    name: str
    language: str


class PayloadField(template_parameters.PayloadField, Documented):
    key: str
    label: str
    required: bool
    example: str


class ExampleRecipient(Documented):
    phone_number: str
    template_parameters: dict[str, dict[str, Any]]


class Payload(Documented):
    template: PayloadTemplate
    fields: list[PayloadField]
    example_recipient: ExampleRecipient


class Template(resources.Template, Documented):
    id: str
    name: str
    language: str
    category: str
    status: str
    parameter_format: str = Field(alias="parameter_format")
    reason: Any = None
    is_whatsapp_flow: Any = None
    message_send_ttl_seconds: Any = None


class PhoneNumber(resources.PhoneNumber, Documented):
    id: str
    number: str = Field(alias="phoneNumber")
    display_phone_number: str
    verified_name: str
    quality_rating: Any = Field(alias="qualityRating")
    messaging_limit: str | None
    status: str
    code_verification_status: Any = None
    name_status: Any = None
    is_official_business_account: Any = None
    phone_number_id: Any = None


class Account(Documented):
    id: Any = None
    name: Any = None
    phone_numbers: list[PhoneNumber]
    templates: list[Template]
    account_review_status: Any = None
    business_verification_status: Any = None
    ban_state: Any = None
    ban_date: Any = None
    violation_type: Any = None


class Business(Documented):
    id: Any = None
    name: Any = None
    whatsapp_accounts: list[Account]


class Resources(Documented):
    project: dict[str, Any]
    summary: dict[str, int]
    businesses: list[Business]


class Window(Documented):
    start_date: AwareDatetime
    end_date: AwareDatetime


class Report(reports.Report, Documented):
    report_id: str
    filename: str
    file_id: str
    date_range: Window
    filters: dict[str, Any]
    expires_at: AwareDatetime
    status: Literal["available", "expired", "deleted"]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    message: str


class Reports(RootModel[list[Report]]):
    pass


def parse(model: type[M], response: Any) -> tuple[M, list[str]]:
    """
    Return a response as its model, and the names of its fields that are not documented.

    :raises ValidationError: if a documented field is missing or of another type. Its text contains no values.
    """
    parsed = model.model_validate_json(json.dumps(response))  # strictly, but times are strings
    return parsed, sorted(set(_new_fields(parsed, model.__name__)))


def _new_fields(value: object, path: str) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _new_fields(item, f"{path}[]")]
    if not isinstance(value, BaseModel):
        return []
    new = [f"{path}.{name}" for name in value.model_extra or ()]
    known = [
        name
        for field, description in type(value).model_fields.items()
        for name in _new_fields(getattr(value, field), f"{path}.{description.alias}" if description.alias else path)
    ]
    return new + known
