"""The web UI, which shows what a DAG did."""

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
# Ids and times have as many digits as a phone number, so they are matched first.
_PHONE_NUMBER = re.compile(
    r"(?P<other>(?<![0-9a-zA-Z])[0-9a-fA-F]{24}(?![0-9a-zA-Z])|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)"
    r"|\d(?:[\W_]{0,3}\d){8,}"
)


def render_dashboard(state: SandboxState, url: str, *, refreshes: bool) -> str:
    """Render the web UI as HTML, with phone numbers masked; ``url`` is the sandbox's address."""
    return _environment.get_template("dashboard.html").render(
        url=url,
        refreshes=refreshes,
        now=state.now().isoformat(),
        credit=state.campaigns.credit,
        campaigns=state.campaigns.list_campaigns(),
        faults=[fault.model_dump(exclude_defaults=True) | {"times": fault.times} for fault in state.faults],
        reports=state.reports.list_reports("")[::-1],
        requests=state.requests.newest(_MAX_REQUESTS)[::-1],
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
        return {_mask(key): _mask_within(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_within(item) for item in value[:_MAX_ITEMS]]
    masked = _mask(value)
    return masked if isinstance(value, str) or masked != str(value) else value


def _format_body(body: object) -> str:
    if body is None:
        return ""
    text = json.dumps(_mask_within(body), ensure_ascii=False)
    return text if len(text) <= _MAX_BODY_LENGTH else f"{text[:_MAX_BODY_LENGTH]}…"


_environment = Environment(loader=PackageLoader("airflow_provider_otpiq.sandbox", ""), autoescape=True)
_environment.filters |= {"mask": _mask, "format_body": _format_body}
