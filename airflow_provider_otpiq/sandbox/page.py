"""A plain page for people who want to see what their DAG did."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox.state import SandboxState

_LAST_REQUESTS = 50
_LONGEST_BODY = 300
_MOST_SHOWN = 10
# What has the digits of a phone number and is none comes first, so that it is passed over: an id, a time.
_PHONE_NUMBER = re.compile(
    r"(?P<other>(?<![0-9a-zA-Z])[0-9a-fA-F]{24}(?![0-9a-zA-Z])|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)"
    r"|\d(?:[\W_]{0,3}\d){8,}"
)


def page(state: SandboxState) -> str:
    """
    Write the page: campaigns and their progress, and the last requests, with phone numbers masked.

    :param state: what the sandbox holds.
    :return: HTML.
    """
    return _environment.get_template("page.html").render(
        now=state.now().isoformat(sep=" ", timespec="seconds"),
        credit=state.campaigns.credit,
        campaigns=reversed(state.campaigns.state()),
        requests=reversed(state.requests.newest(_LAST_REQUESTS)),
    )


def _masked(text: object) -> str:
    whole = str(text).encode(errors="replace").decode()  # half a character cannot be sent
    return _PHONE_NUMBER.sub(_without_the_middle, whole)


def _without_the_middle(match: re.Match[str]) -> str:
    if match["other"]:
        return match.group()
    digits = "".join(filter(str.isdecimal, match.group()))
    return f"{digits[:4]}•••{digits[-2:]}"


def _masked_within(value: Any) -> Any:
    if isinstance(value, dict):
        return {_masked(key): _masked_within(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked_within(each) for each in value[:_MOST_SHOWN]]
    return value if value is None or isinstance(value, bool) else _masked(value)


def _shown(body: object) -> str:
    if body is None:
        return ""
    text = json.dumps(_masked_within(body), ensure_ascii=False)
    return text if len(text) <= _LONGEST_BODY else f"{text[:_LONGEST_BODY]}…"


_environment = Environment(loader=PackageLoader("airflow_provider_otpiq.sandbox", ""), autoescape=True)
_environment.filters |= {"masked": _masked, "shown": _shown}
