from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pydantic import ValidationError

from airflow_provider_otpiq._connection.settings import DEFAULT_BASE_URL
from airflow_provider_otpiq._validation_errors import format_errors
from airflow_provider_otpiq.check.client import SafeClient
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from dev.live import api_key
from tests.live import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NEW_FIELDS = pytest.StashKey[set[str]]()


class Sender(NamedTuple):
    """An approved template, and a number that can send it."""

    template_id: str
    phone_number_id: str


class GuardedHook(OtpiqHook):
    """A hook that sends no messages."""

    @cached_property
    def _client(self) -> SafeClient:
        return SafeClient(self.settings, f"connection {self.otpiq_conn_id!r}")


@pytest.fixture(scope="session")
def otpiq() -> Iterator[OtpiqHook]:
    """A hook for OTPIQ itself, or for the address in ``OTPIQ_URL``."""
    connection = {"conn_type": "otpiq", "host": os.environ.get("OTPIQ_URL", DEFAULT_BASE_URL), "password": api_key()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OTPIQ_LIVE", json.dumps(connection))
        yield GuardedHook("otpiq_live")


@pytest.fixture(scope="session")
def sender(otpiq: OtpiqHook) -> Sender:
    accounts = [account for business in otpiq.get_resources()["businesses"] for account in business["whatsappAccounts"]]
    for account in accounts:
        for template in account["templates"]:
            if template["status"] == "APPROVED" and account["phoneNumbers"]:
                return Sender(template["id"], account["phoneNumbers"][0]["id"])
    pytest.skip("no WhatsApp account of this project has an approved template and a phone number")


@pytest.fixture(scope="session")
def draft(otpiq: OtpiqHook, sender: Sender) -> dict[str, Any]:
    """The only campaign of all live tests, because it cannot be deleted."""
    return otpiq.create_campaign(name=f"test-live {datetime.now(UTC):%Y-%m-%d %H:%M}", **sender._asdict())


@pytest.fixture
def compare(pytestconfig: pytest.Config) -> Callable[[type[contract.M], Any], contract.M]:
    """Compare a response with the documentation: a new field is listed in the end, and a missing one fails."""

    def compare(model: type[contract.M], response: Any) -> contract.M:
        try:
            parsed, new = contract.parse(model, response)
        except ValidationError as error:  # whose traceback would show the response
            errors = "\n".join(format_errors(error))
            pytest.fail(f"{model.__name__} is not as documented:\n{errors}", pytrace=False)
        pytestconfig.stash.setdefault(NEW_FIELDS, set()).update(new)
        return parsed

    return compare


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if new := config.stash.get(NEW_FIELDS, set()):
        terminalreporter.section("fields that are not documented")
        terminalreporter.write_line("\n".join(sorted(new)))
