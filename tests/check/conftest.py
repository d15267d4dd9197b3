from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from airflow_provider_otpiq.check.__main__ import main

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

OWN_NUMBER = "9647709876543"


class Run(NamedTuple):
    """A run of the command."""

    status: int
    out: str
    err: str

    def rows(self, result: str) -> dict[str, str]:
        """Return what was seen of the assumptions with a result."""
        rows = [line.split(maxsplit=2) for line in self.out.partition("\n\nseconds")[0].splitlines()]
        return {row[0]: row[2] for row in rows if len(row) > 2 and row[1] == result}


Check = Callable[..., Run]


@pytest.fixture
def check(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command against the sandbox."""
    monkeypatch.setenv("OTPIQ_API_KEY", sandbox.api_key)

    def run(*arguments: str, url: str | None = sandbox.url) -> Run:
        capsys.readouterr()
        status = main([*(["--url", url] if url else []), *arguments])
        return Run(status, *capsys.readouterr())

    return run


@pytest.fixture
def create(check: Check, sandbox: Sandbox, sandbox_hook: OtpiqHook) -> Check:
    """Run the command with everything that it can check, in a project that has sent messages."""
    draft = sandbox_hook.create_campaign(name="Offer", template_name="order_update", phone_number="9647701234567")[
        "_id"
    ]
    sandbox_hook.attach_recipients(campaign_id=draft, recipients=[{"phoneNumber": f"964770123456{n}"} for n in (1, 2)])
    sandbox_hook.start_campaign(campaign_id=draft)
    sandbox.move_clock(minutes=2)  # so all who read it have read it
    return lambda *arguments: check("--create", "--phone-number", f"+{OWN_NUMBER}", *arguments)
