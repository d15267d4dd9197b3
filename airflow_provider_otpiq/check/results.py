"""The table of ``otpiq-check``, and the file for a bug report."""

from __future__ import annotations

import json
import platform
import re
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq import __version__
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.check.campaign_checks import CAMPAIGN_CHECKS
from airflow_provider_otpiq.check.client import UnknownError
from airflow_provider_otpiq.check.evidence import NEEDS_CREATE, NEEDS_NUMBER
from airflow_provider_otpiq.check.finding import Finding
from airflow_provider_otpiq.check.project import names_of
from airflow_provider_otpiq.check.report_checks import REPORT_CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.check.evidence import Evidence
    from airflow_provider_otpiq.check.finding import Check

CHECKS: dict[str, Check] = {**CAMPAIGN_CHECKS, **REPORT_CHECKS}
"""All checks by the assumption's id."""
_NEXT_STEPS = {
    NEEDS_CREATE: "Add --create to check the others with a draft. It sends no messages.",
    NEEDS_NUMBER: "Add --phone-number with your own number to check attaches. It gets no message.",
}
_MASKED_NUMBER = r"\d*•••\d*"
_DIGITS = 9
"""How many digits of a phone number are searched for, whatever is between them."""


class Results:
    """What the evidence shows about each assumption that can be checked."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.findings = {name: _find(name, evidence) for name in CHECKS}
        """The findings by the assumption's id."""
        names = sorted(names_of(evidence), key=len, reverse=True)
        self._personal_data = _personal_data(names, evidence.client.guard.phone_number)
        self._longest_name = len(names[0]) if names else 0

    @property
    def differing(self) -> list[str]:
        """The ids of the assumptions that differ."""
        return [name for name, found in self.findings.items() if found.result == "differs"]

    def table(self) -> Iterator[str]:
        """Yield the lines of the table, then the requests, then what to do about each difference, then the counts."""
        yield f"{'assumption':24} {'result':8} what was seen"
        for name, found in self.findings.items():
            yield f"{name:24} {found.result:8} {found.seen}"
        yield ""
        yield f"{'seconds':>7} status request"
        for call in self._evidence.client.calls:
            yield f"{call.seconds:7.3f} {call.status or '-':6} {call.method} {call.path} ({call.purpose})"
        for name in self.differing:
            assumption = ASSUMPTIONS[name]
            yield ""
            yield f"{name} differs. Assumed: {assumption.text}"
            yield f"  Affected: {assumption.affects}"
            yield f"  What to do: {assumption.if_wrong}"
        yield ""
        yield from self._summary()

    def _summary(self) -> Iterator[str]:
        counts = Counter(found.result for found in self.findings.values())
        results = ", ".join(f"{result} {counts[result]}" for result in ("holds", "differs", "unknown"))
        others = len(ASSUMPTIONS) - len(CHECKS)
        yield f"Results: {results}. {others} more assumptions cannot be checked without sending a message."
        reasons = {found.seen for found in self.findings.values()}
        yield from (next_step for reason, next_step in _NEXT_STEPS.items() if reason in reasons)

    def to_json(self) -> str:
        """Return the results for a bug report: without the key, phone numbers and names."""
        report: dict[str, Any] = {
            "provider": __version__,
            "airflow": version("apache-airflow"),
            "python": platform.python_version(),
            "checked_at": pendulum.now("UTC").to_iso8601_string(),
            "assumptions": [
                {"id": name, "result": found.result, "seen": self._anonymous(found.seen)}
                for name, found in self.findings.items()
            ],
            "calls": [
                call._asdict() | {"purpose": self._anonymous(call.purpose)} for call in self._evidence.client.calls
            ],
        }
        return json.dumps(report, ensure_ascii=False, indent=2) + "\n"

    def _anonymous(self, text: str) -> str:
        """Remove the key, the project's names, and phone numbers, also what is left of masked ones."""
        anonymous = self._personal_data.sub("•••", self._evidence.client.sanitize(text))
        # A name may have been cut at the end.
        return f"{anonymous[: -self._longest_name - 1]}…" if anonymous.endswith("…") else anonymous


def _find(name: str, evidence: Evidence) -> Finding:
    try:
        found = CHECKS[name](evidence)
    except UnknownError as error:
        found = Finding("unknown", str(error))
    return found._replace(seen=evidence.client.sanitize(found.seen))


def _personal_data(names: list[str], phone_number: str | None) -> re.Pattern[str]:
    digits = {re.sub(r"\D", "", value)[-_DIGITS:] for value in (phone_number or "", *names)}
    spelled = [r"[\W_]*".join(number) for number in digits if len(number) == _DIGITS]
    words = [rf"(?<!\w){re.escape(sanitize(name))}(?!\w)" for name in names if not name.isdecimal()]
    return re.compile("|".join([*spelled, _MASKED_NUMBER, *words]), re.IGNORECASE)
