"""The web UI: what a DAG did, at a glance."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox.state import SandboxState

_MAX_REQUESTS = 50
_MAX_BODY_LENGTH = 300
_MAX_ITEMS = 10
# Ids and times also have enough digits for a phone number; matching them first excludes them.
_PHONE_NUMBER = re.compile(
    r"(?P<other>(?<![0-9a-zA-Z])[0-9a-fA-F]{24}(?![0-9a-zA-Z])|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)"
    r"|\d(?:[\W_]{0,3}\d){8,}"
)


def render_dashboard(state: SandboxState) -> str:
    """
    Render the web UI: campaigns and their progress, reports, and the last requests, with phone numbers masked.

    :param state: the sandbox's state.
    :return: HTML.
    """
    return _environment.get_template("dashboard.html").render(
        now=state.now().isoformat(sep=" ", timespec="seconds"),
        credit=state.campaigns.credit,
        campaigns=reversed(state.campaigns.list_campaigns()),
        reports=reversed(state.reports.list_reports("")),
        requests=reversed(state.requests.newest(_MAX_REQUESTS)),
    )


def _mask(text: object) -> str:
    whole = str(text).encode(errors="replace").decode()  # a lone surrogate cannot be encoded
    return _PHONE_NUMBER.sub(_mask_digits, whole)


def _mask_digits(match: re.Match[str]) -> str:
    if match["other"]:
        return match.group()
    digits = "".join(filter(str.isdecimal, match.group()))
    return f"{digits[:4]}•••{digits[-2:]}"


def _mask_within(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mask(key): _mask_within(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask_within(each) for each in value[:_MAX_ITEMS]]
    return value if value is None or isinstance(value, bool) else _mask(value)


def _format_body(body: object) -> str:
    if body is None:
        return ""
    text = json.dumps(_mask_within(body), ensure_ascii=False)
    return text if len(text) <= _MAX_BODY_LENGTH else f"{text[:_MAX_BODY_LENGTH]}…"


_environment = Environment(loader=PackageLoader("airflow_provider_otpiq.sandbox", ""), autoescape=True)
_environment.filters |= {"mask": _mask, "format_body": _format_body}
