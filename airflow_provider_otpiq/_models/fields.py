"""
The types of request fields, with their rules.

Values come as Airflow renders them: strings from templates; Python objects with ``render_template_as_native_obj`` and
from XCom. ``None``, ``""`` and ``"None"`` (to which a trigger form's blank field renders) mean "not set".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Annotated, Literal

from pendulum import DateTime
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator

from airflow_provider_otpiq._models.datetimes import parse_datetime, require_future, to_api_format
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._redaction import describe_count, describe_type, safe_repr

MAX_NAME_LENGTH = 80
"""The length limit of a campaign's name, in characters."""
MAX_RECIPIENTS = 1000
"""The maximum of recipients of a campaign, and of one request."""

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_MIN_NAME_LENGTH = 3
_LEDGER_HINT = "a path, such as a broadcast's ledger; its first campaign is create.output['first_campaign_id']"
_NATIVE_HINT = "if this comes from render_template_as_native_obj, turn that off or quote the value in the template"


def is_set(value: object) -> bool:
    """Return whether a rendered field is set: not None, not an empty string and not the string ``None``."""
    return value is not None and not (isinstance(value, str) and value in ("", "None"))


def is_empty(value: object) -> bool:
    """Return whether a rendered value is empty: not set, only whitespace, an empty collection, or a list of these."""
    if isinstance(value, str):
        return not is_set(value.strip())
    if isinstance(value, list | tuple):
        return not value or any(map(is_empty, value))
    return value is None or (isinstance(value, Mapping | Set) and not value)


def is_object_id(value: object) -> bool:
    """Return whether a value is an id of OTPIQ."""
    try:
        return bool(_object_id(value))
    except ValueError:
        return False


def _string(value: object, rule: str = "must be a string") -> str:
    # Native rendering turns "664" into an int, which keeps all digits. A float does not: "1e5", "2026.10".
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{rule}; found {describe_type(value)} ({_NATIVE_HINT})")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{rule}; found half of a surrogate pair, which is not a character")
    return text


def _object_id(value: object) -> str:
    rule = "must be 24 hexadecimal characters (0-9, a-f)"
    text = _string(value, rule)
    if _OBJECT_ID.fullmatch(text):
        return text
    if text.startswith("/") or "://" in text:
        raise ValueError(f"{rule}; found {_LEDGER_HINT}")
    wrong = sorted(set(re.findall(r"[^0-9a-fA-F]", text)))
    among = f", among them {', '.join(map(repr, wrong[:3]))}" if wrong else ""
    raise ValueError(f"{rule}; found {describe_count(len(text), 'character')}{among}")


def _name(value: object) -> str:
    rule = f"must be {_MIN_NAME_LENGTH} to {MAX_NAME_LENGTH} characters long"
    text = _string(value, rule)
    if _MIN_NAME_LENGTH <= len(text) <= MAX_NAME_LENGTH:
        return text
    raise ValueError(f"{rule}; found {len(text)}")


def _manifest(value: object) -> object:
    """Refuse the groups of an audience, and one of them: the field is one path."""
    if not isinstance(value, Mapping | list | tuple):
        return value
    raise ValueError(
        f"must be the path of one manifest; found {describe_type(value)}. For each group of an audience, map the task:"
        ' .expand_kwargs(prepare.output.map(lambda group: {"audience": group["manifest"]}))'
    )


def _region(region: str) -> str:
    if not re.fullmatch("[A-Z]{2}", region):
        raise ValueError(
            f"must be a country's two capital letters, such as {DEFAULT_REGION}; found {safe_repr(region)}"
        )
    return region


String = Annotated[str, BeforeValidator(_string)]
ManifestPath = Annotated[String, BeforeValidator(_manifest)]
Region = Annotated[str, AfterValidator(_region)]
ObjectId = Annotated[str, BeforeValidator(_object_id)]
CampaignName = Annotated[str, BeforeValidator(_name)]
ScheduleType = Literal["now", "schedule"]
Time = Annotated[DateTime, PlainValidator(parse_datetime), PlainSerializer(to_api_format)]
FutureTime = Annotated[Time, AfterValidator(require_future)]
