"""Faults: what the sandbox does wrong on purpose, for the next requests of one kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]
Call = Literal["info", "resources", "create", "update", "payload", "attach", "sample", "start"]
When = Literal["before", "after"]
Connection = Literal["keep", "drop", "cut", "endless"]
_CAMPAIGNS = "/api/whatsapp/campaigns"
_PATHS: dict[Call, tuple[str, re.Pattern[str]]] = {
    "info": ("GET", re.compile("/api/info")),
    "resources": ("GET", re.compile("/api/whatsapp/resources")),
    "create": ("POST", re.compile(_CAMPAIGNS)),
    "update": ("PATCH", re.compile(f"{_CAMPAIGNS}/[^/]+")),
    "payload": ("GET", re.compile(f"{_CAMPAIGNS}/recipient-payload")),
    "attach": ("POST", re.compile(f"{_CAMPAIGNS}/[^/]+/recipients")),
    "sample": ("POST", re.compile(f"{_CAMPAIGNS}/[^/]+/sample")),
    "start": ("POST", re.compile(f"{_CAMPAIGNS}/[^/]+/start")),
}


def _listed(words: Iterable[str], conjunction: str = "or") -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}"


class Fault(BaseModel):
    """
    A fault, armed for the next requests of one kind.

    A field's ``description`` says which values it takes; an error about the field shows it.
    """

    model_config = ConfigDict(extra="forbid")

    call: Annotated[Call, Field(description=_listed(get_args(Call)))]
    """The kind of request that it meets."""
    times: Annotated[int, Field(ge=1, description="a whole number, 1 or more")] = 1
    """How many requests it meets."""
    when: Annotated[When, Field(description=_listed(get_args(When)))] = "before"
    """For a fault with a status or a drop: ``before`` keeps the request from having any effect, ``after`` lets it do
    what it asks for first. Any other fault only spoils the way back, and is always ``after``."""
    delay: Annotated[float, Field(ge=0, allow_inf_nan=False, description="seconds, 0 or more")] = 0
    """Seconds before the response, or before the connection is dropped."""
    status: Annotated[int | None, Field(ge=200, le=599, description="an HTTP status, 200 to 599")] = None
    """The HTTP status of the answer; None lets the request be answered as always."""
    body: Any = None
    """The body of such an response: a text is sent as HTML, anything else as JSON."""
    headers: Annotated[dict[str, HeaderValue], Field(description="strings of printable ASCII by name")] = {}
    """Headers of such an response, such as ``Retry-After`` or ``Location``."""
    connection: Annotated[Connection, Field(description=_listed(get_args(Connection)))] = "keep"
    """``drop`` sends nothing, ``cut`` half of the body, and ``endless`` never stops sending one."""

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """
        Validate a fault's fields.

        :param fields: a dict of the fields above; ``call`` is required.
        :return: the fault.
        :raises ValueError: if a field is missing, unknown or invalid; its text lists the known calls or fields.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            by_field = {details["loc"][:1]: _describe(details, fields) for details in error.errors()}
        raise ValueError(f"Invalid fault: {'; '.join(by_field.values())}")

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is of its kind."""
        expected_method, pattern = _PATHS[self.call]
        return method == expected_method and pattern.fullmatch(path) is not None

    @property
    def is_processed(self) -> bool:
        """Whether the request still does what it asks for."""
        return self.when == "after" or (self.status is None and self.connection != "drop")


def _describe(error: ErrorDetails, fields: Any) -> str:
    """Say in our words what is wrong with one of a fault's fields."""
    known = _listed(Fault.model_fields, "and")
    if not error["loc"]:
        return f"it must be an object with the fields {known}"
    name = str(error["loc"][0])
    if name not in Fault.model_fields:
        return f"there is no field {name}; the fields are {known}"
    got = f"got {fields[name]!r}" if name in fields else "and is missing"
    return f"{name} must be {Fault.model_fields[name].description}, {got}"
