"""
A field of a create or an update is in each place that needs it.

These are the model, the operator's signature and docstring, the sandbox's schema, and the documentation.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator, UpdateCampaignOperator
from airflow_provider_otpiq.sandbox.schemas import CreateCampaignRequest, UpdateCampaignRequest
from dev.local_airflow import REPOSITORY

OF_TASKS = {"self", "kwargs", "durable"}


def places(operator: Any, model: Any, schema: Any) -> dict[str, set[str]]:
    """Return the fields in each place, by the model's names."""
    names = {str(field.serialization_alias): name for name, field in model.model_fields.items()}
    not_sent = {name for name, field in model.model_fields.items() if field.exclude}  # of the path, or looked up
    described = re.split(r":param (\w+):", inspect.getdoc(operator) or "")[1:]
    templated = {name for name, text in zip(described[::2], described[1::2], strict=True) if "(templated)" in text}
    page = (REPOSITORY / "docs" / "howto" / "operators.md").read_text()
    return {
        "signature": set(inspect.signature(operator).parameters) - OF_TASKS,
        "template_fields": set(operator.template_fields) - {"otpiq_conn_id"},
        "docstring, with (templated)": templated - {"otpiq_conn_id"},
        "docs/howto/operators.md": {name for name in model.model_fields if f"`{name}`" in page},
        "sandbox/schemas.py": {names[alias] for alias in schema.model_fields} | not_sent,
    }


@pytest.mark.parametrize(
    ("operator", "model", "schema"),
    [
        (CreateCampaignOperator, CreateCampaign, CreateCampaignRequest),
        (UpdateCampaignOperator, UpdateCampaign, UpdateCampaignRequest),
    ],
)
def test_every_field_is_in_every_place(operator: Any, model: Any, schema: Any) -> None:
    differences = {
        place: found ^ set(model.model_fields)
        for place, found in places(operator, model, schema).items()
        if found != set(model.model_fields)
    }
    assert differences == {}
