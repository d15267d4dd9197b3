"""A file of recipients: a JSON list of them, such as a part of a prepared audience."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from airflow_provider_otpiq._storage import Folder, split_location
from airflow_provider_otpiq.exceptions import OtpiqValidationError


def read_recipients(location: str) -> list[Any]:
    """
    Read all of its recipients.

    :raises OtpiqValidationError: if there is no such file, or no list in it.
    :raises OtpiqConfigurationError: if nothing here reaches it.
    """
    folder, name = split_location(location)
    try:
        content = Folder(folder).read(name)
    except IsADirectoryError:
        raise _refusal(location, "is a folder; set the path of a file in it") from None
    if content is None:
        raise _refusal(location, "there is no such file")
    try:
        recipients = from_json(content)
    except ValueError:  # its text would repeat what is there
        recipients = None
    if not isinstance(recipients, list):
        raise _refusal(location, "must be a JSON list of recipients, as each part of a prepared audience is")
    return recipients


def _refusal(location: str, problem: str) -> OtpiqValidationError:
    error = f"recipients: {location}: {problem}"
    return OtpiqValidationError(f"{error}; nothing was sent.", errors=[error])
