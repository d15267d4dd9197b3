"""The ledgers that use an audience: each is named by an object ``in_use*.json`` beside the audience's manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import from_json

from airflow_provider_otpiq._ledger.ledger import audience_checksum
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from airflow_provider_otpiq._storage import Folder


def ledgers_of(folder: Folder) -> dict[str, str]:
    """
    Read the locations of the ledgers that use the audience in a folder, by the objects that name them.

    :raises OtpiqValidationError: if one of the objects was edited.
    """
    names = [name for name in folder.list("") if name.startswith("in_use") and name.endswith(".json")]
    return {name: _ledger_of(folder, name, content) for name, content in folder.read_all(names).items()}


def checksums_in_use(folder: Folder) -> set[str]:
    """
    Read the checksums of the audiences of the ledgers' requests, started or not.

    :raises OtpiqValidationError: if a ledger, or an object that names one, was edited.
    """
    checksums = map(audience_checksum, ledgers_of(folder).values())
    return {checksum for checksum in checksums if checksum}


def _ledger_of(folder: Folder, name: str, content: bytes) -> str:
    try:
        return str(from_json(content)["ledger"])
    except (ValueError, KeyError, TypeError):
        error = f"{folder.location_of(name)}: was edited; expected the location of a ledger"
        raise OtpiqValidationError(f"{error}. Restore it.", errors=[error]) from None
