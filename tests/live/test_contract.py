"""The comparison with the documentation finds what is missing and what is new, and only that."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from tests.fakes import CREATE
from tests.live import contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

WINDOW = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}
RESPONSES: dict[type[BaseModel], Callable[[OtpiqHook], Any]] = {
    contract.ProjectInfo: lambda hook: hook.get_project_info(),
    contract.Resources: lambda hook: hook.get_resources(),
    contract.Payload: lambda hook: hook.get_recipient_payload(template_id="665f1c2ab3d4e5f601234567"),
    contract.Campaign: lambda hook: hook.create_campaign(**CREATE),
    contract.Report: lambda hook: hook.generate_report(**WINDOW),
    contract.Reports: lambda hook: [hook.generate_report(**WINDOW)],
}
LEVELS: dict[type[BaseModel], int] = {
    contract.ProjectInfo: 1,
    contract.Resources: 5,  # a template of an account of a business
    contract.Payload: 4,
    contract.Campaign: 1,
    contract.Report: 2,
    contract.Reports: 2,
}
"""The kinds of objects in a response."""
each_response = pytest.mark.parametrize("model", RESPONSES, ids=lambda model: model.__name__)


@each_response
def test_the_sandbox_is_as_documented(sandbox_hook: OtpiqHook, model: type[BaseModel]) -> None:
    _, new = contract.parse(model, RESPONSES[model](sandbox_hook))
    assert new == []


@each_response
def test_a_new_field_is_listed_wherever_it_is(sandbox_hook: OtpiqHook, model: type[BaseModel]) -> None:
    response = RESPONSES[model](sandbox_hook)
    objects = list(documented_objects(response))
    for fields in objects:
        fields["surprise"] = 1
    _, new = contract.parse(model, response)
    assert {name.rpartition(".")[2] for name in new} == {"surprise"}
    assert len(new) == LEVELS[model]


OPTIONAL = {"id", "name", "accountReviewStatus", "banState"}  # of an account or a business


@each_response
def test_a_missing_field_is_an_error(sandbox_hook: OtpiqHook, model: type[BaseModel]) -> None:
    response = RESPONSES[model](sandbox_hook)
    for index, fields in enumerate(documented_objects(response)):
        required = fields.keys() - (OPTIONAL if {"whatsappAccounts", "phoneNumbers"} & fields.keys() else set())
        for name in required:
            incomplete = copy.deepcopy(response)
            del list(documented_objects(incomplete))[index][name]
            with pytest.raises(ValidationError) as caught:
                contract.parse(model, incomplete)
            assert caught.value.errors()[0]["type"] == "missing"
            assert caught.value.errors()[0]["loc"][-1] == name


FREE_FORM = ("project", "summary", "filters", "templateParameters")


def documented_objects(value: Any) -> Any:
    """Yield all objects of a response but those whose fields are not documented."""
    if isinstance(value, dict):
        yield value
        for name, child in value.items():
            if name not in FREE_FORM:
                yield from documented_objects(child)
    elif isinstance(value, list):
        for child in value:
            yield from documented_objects(child)
