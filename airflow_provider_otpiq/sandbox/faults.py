"""Faults: errors that the sandbox returns on purpose, for the next requests of one kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]
Call = Literal[
    "info", "resources", "create", "update", "payload", "attach", "sample", "start", "generate", "reports", "download"
]
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
    "generate": ("POST", re.compile("/api/reports/generate")),
    "reports": ("GET", re.compile("/api/reports")),
    "download": ("GET", re.compile("/files/[^/]+/[^/]+")),
}


def call_of(method: str, path: str) -> Call | None:
    """Return the kind of a request; None for an unknown one."""
    matching = (call for call, (its, pattern) in _PATHS.items() if method == its and pattern.fullmatch(path))
    return next(matching, None)


def _join(words: Iterable[str], conjunction: str = "or") -> str:
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}"


class Fault(BaseModel):
    """
    A fault, armed for the next requests of one kind.

    A field's ``description`` lists its valid values, for errors.
    """

    model_config = ConfigDict(extra="forbid")

    call: Annotated[Call, Field(description=_join(get_args(Call)))]
    """The kind of request that is affected."""
    times: Annotated[int, Field(ge=1, description="a whole number, 1 or more")] = 1
    """How many requests are affected."""
    when: Annotated[When, Field(description=_join(get_args(When)))] = "before"
    """For a ``status`` or a ``drop``: whether it happens ``before`` the request is processed, which then has no effect,
    or ``after``. With any other fault, the request is always processed."""
    delay: Annotated[float, Field(ge=0, allow_inf_nan=False, description="seconds, 0 or more")] = 0
    """Seconds before the response or before the connection is dropped."""
    status: Annotated[int | None, Field(ge=200, le=599, description="an HTTP status, 200 to 599")] = None
    """The HTTP status of the response; None leaves the response as it is."""
    body: Any = None
    """The body of the response with that status: a string is sent as HTML, anything else as JSON."""
    headers: Annotated[dict[str, HeaderValue], Field(description="strings of printable ASCII by name")] = {}
    """The headers of the response with that status, such as ``Retry-After`` or ``Location``."""
    connection: Annotated[Connection, Field(description=_join(get_args(Connection)))] = "keep"
    """``drop`` sends no response, ``cut`` sends half of its body, ``endless`` sends a body without an end."""

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """
        Validate a fault's fields.

        :param fields: a dict of the fields above; ``call`` is required.
        :return: the fault.
        :raises ValueError: if a field is missing, unknown or invalid; the text lists what is valid.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            by_field = {details["loc"][:1]: _describe(details, fields) for details in error.errors()}
        raise ValueError(f"Invalid fault. {'. '.join(by_field.values())}.")

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault affects a request."""
        return call_of(method, path) == self.call

    @property
    def is_processed(self) -> bool:
        """Whether the request is processed nevertheless."""
        return self.when == "after" or (self.status is None and self.connection != "drop")


def _describe(error: ErrorDetails, fields: Any) -> str:
    """Describe an error without pydantic's text."""
    known = _join(Fault.model_fields, "and")
    if not error["loc"]:
        return f"It must be an object with the fields {known}"
    name = str(error["loc"][0])
    if name not in Fault.model_fields:
        return f"{name}: not a field; the fields are {known}"
    found = f"found {fields[name]!r}" if name in fields else "it is missing"
    return f"{name}: must be {Fault.model_fields[name].description}; {found}"
