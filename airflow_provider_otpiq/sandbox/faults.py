"""Faults: what the sandbox does wrong on purpose, for the next requests of one kind."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails
    from starlette.types import ASGIApp, Message, Scope, Send

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
    """Seconds before the answer, or before the connection is dropped."""
    status: Annotated[int | None, Field(ge=200, le=599, description="an HTTP status, 200 to 599")] = None
    """The HTTP status of the answer; None lets the request be answered as always."""
    body: Any = None
    """The body of such an answer: a text is sent as HTML, anything else as JSON."""
    headers: Annotated[dict[str, HeaderValue], Field(description="strings of printable ASCII by name")] = {}
    """Headers of such an answer, such as ``Retry-After`` or ``Location``."""
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

    def meets(self, method: str, path: str) -> bool:
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


@dataclass
class Answer:
    """An answer, before it is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def answered(app: ASGIApp, scope: Scope, body: bytes) -> Answer:
    """
    Let an application answer a request, without sending the answer.

    :param app: the application.
    :param scope: the request.
    :param body: the request's body.
    :return: the answer.
    """
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    return Answer(start["status"], start["headers"], b"".join(part.get("body", b"") for part in rest))


def made(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """
    Make an answer.

    :param status: its HTTP status.
    :param body: its body: a text is sent as HTML, anything else as JSON.
    :param headers: headers beside, or instead of, the two that every answer has.
    :return: the answer.
    """
    is_text = isinstance(body, str)
    content = body.encode(errors="replace") if is_text else json.dumps(body).encode()
    own = {"content-type": "text/html" if is_text else "application/json", "content-length": str(len(content))}
    given = {name.lower(): value for name, value in (headers or {}).items()}
    return Answer(status, [(name.encode(), value.encode()) for name, value in (own | given).items()], content)


async def deliver(answer: Answer, fault: Fault | None, send: Send, gone: asyncio.Event) -> None:
    """
    Send an answer, as whole as a fault leaves it.

    :param answer: the answer.
    :param fault: the fault; None sends it whole.
    :param send: sends a part.
    :param gone: set when the client has hung up.
    """
    connection = fault.connection if fault else "keep"
    headers, parts = answer.headers, iter([answer.body])
    if connection == "cut":
        parts = iter([answer.body[: len(answer.body) // 2]])
    if connection == "endless":
        headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
        parts = repeat(b" " * 65536)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await _send_parts(parts, send, gone)
    # After half a body there is no end: the server then closes the connection.
    if connection != "cut":
        await send({"type": "http.response.body"})


async def _send_parts(parts: Iterable[bytes], send: Send, gone: asyncio.Event) -> None:
    for part in parts:
        if gone.is_set():
            return
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)
