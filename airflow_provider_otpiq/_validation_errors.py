"""What pydantic found wrong, as a person reads it: by the field's own name, without the value itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def format_errors(error: ValidationError) -> list[str]:
    """List validation errors without their inputs: ``name: must be 3 to 80 characters long; found 2``."""
    return [_line(details) for details in error.errors(include_url=False, include_input=False)]


def bullet_list(errors: Iterable[str]) -> str:
    """Write errors one below the other, as the end of an error's text."""
    return "".join(f"\n  - {error}" for error in errors)


def _line(details: ErrorDetails) -> str:
    return ": ".join([*map(str, details["loc"]), _text(details)])


def _text(details: ErrorDetails) -> str:
    if details["type"] == "missing":
        return "is required, and is not set"
    # A rule of ours is a ValueError, whose text pydantic would prefix with "Value error, ".
    own = details.get("ctx", {}).get("error")
    return str(own) if own else details["msg"]
