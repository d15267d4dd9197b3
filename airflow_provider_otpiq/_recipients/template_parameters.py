"""The parameters that a template requires of each recipient."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_otpiq._recipients.parameter_values import SCALAR, are_all
from airflow_provider_otpiq._redaction import sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class PayloadField(BaseModel):
    """A parameter that each recipient may, or must, carry."""

    model_config = ConfigDict(hide_input_in_errors=True)

    required: bool = False
    path: Annotated[str, Field(alias="templateParametersPath")]
    label: str | None = None


class Payload(BaseModel):
    """What each recipient must carry for a template."""

    fields: list[PayloadField]


class PayloadResponse(BaseModel):
    """The response to ``GET /whatsapp/campaigns/recipient-payload``."""

    model_config = ConfigDict(hide_input_in_errors=True)

    data: Payload


def required_parameters(payload: Mapping[str, Any]) -> list[RequiredParameter]:
    """Read the parameters that a template requires."""
    return [RequiredParameter(field) for field in Payload.model_validate(payload).fields if field.required]


class RequiredParameter:
    """A required parameter of a template."""

    def __init__(self, field: PayloadField) -> None:
        self._keys = field.path.split(".")
        self.name = sanitize(f"{field.path} ({field.label})" if field.label else field.path)

    def problems(self, recipients: Sequence[Mapping[str, Any]]) -> dict[int, str]:
        """Find the recipients that lack it, by their position, each with its error. Blank values are removed before."""
        if self._all_have_a_string(recipients):
            return {}
        found = {position: self._problem_of(recipient) for position, recipient in enumerate(recipients)}
        return {position: problem for position, problem in found.items() if problem}

    def _all_have_a_string(self, recipients: Iterable[Any]) -> bool:
        """Check all of them at once, which is fast, and enough if each has a string."""
        values = recipients
        for key in self._keys:
            values = map(itemgetter(key), values)
        try:
            return are_all(str, values)
        except (KeyError, TypeError):
            return False

    def _problem_of(self, recipient: Mapping[Any, Any]) -> str | None:
        value: Any = recipient
        try:
            for key in self._keys:
                value = value[key]
        except (KeyError, TypeError):
            return f"{self.name} is required, and is not set"
        return f"{self.name} {SCALAR}, and is a dict" if isinstance(value, dict) else None
