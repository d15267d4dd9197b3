"""The table of ``otpiq-check``, and the file for a bug report."""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq import __version__
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.check.campaign_checks import CAMPAIGN_CHECKS
from airflow_provider_otpiq.check.client import UnknownError
from airflow_provider_otpiq.check.finding import Finding
from airflow_provider_otpiq.check.project import names_of
from airflow_provider_otpiq.check.report_checks import REPORT_CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.check.evidence import Evidence
    from airflow_provider_otpiq.check.finding import Check

CHECKS: dict[str, Check] = {**CAMPAIGN_CHECKS, **REPORT_CHECKS}
"""All checks by the assumption's id."""
_MASKED_NUMBER = re.compile(r"\d*•••\d*")


class Results:
    """What the evidence shows about each assumption that can be checked."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.findings = {name: _find(name, evidence) for name in CHECKS}
        """The findings by the assumption's id."""

    @property
    def differing(self) -> list[str]:
        """The ids of the assumptions that differ."""
        return [name for name, found in self.findings.items() if found.result == "differs"]

    def table(self) -> Iterator[str]:
        """Yield the lines of the table, then what to do about each difference, then the calls."""
        yield f"{'assumption':24} {'result':8} what was seen"
        for name, found in self.findings.items():
            yield f"{name:24} {found.result:8} {found.seen}"
        for name in self.differing:
            assumption = ASSUMPTIONS[name]
            yield ""
            yield f"{name} differs. Assumed: {assumption.text}"
            yield f"  Affected: {assumption.affects}"
            yield f"  What to do: {assumption.if_wrong}"
        yield ""
        yield f"{'seconds':>7} status request"
        for call in self._evidence.client.calls:
            yield f"{call.seconds:7.3f} {call.status or '-':6} {call.method} {call.path} ({call.purpose})"
        yield ""
        yield self.summary()

    def summary(self) -> str:
        """Return the numbers of assumptions with each result."""
        counts = dict.fromkeys(("holds", "differs", "unknown"), 0)
        for found in self.findings.values():
            counts[found.result] += 1
        others = len(ASSUMPTIONS) - len(CHECKS)
        return (
            f"{counts['holds']} assumptions hold, {counts['differs']} differ, {counts['unknown']} are unknown. {others}"
            " more cannot be checked without sending a message."
        )

    def to_json(self) -> str:
        """Return the results for a bug report: without the key, phone numbers and names."""
        names = sorted(names_of(self._evidence), key=len, reverse=True)
        report: dict[str, Any] = {
            "provider": __version__,
            "airflow": version("apache-airflow"),
            "python": platform.python_version(),
            "checked_at": pendulum.now("UTC").to_iso8601_string(),
            "assumptions": [
                {"id": name, "result": found.result, "seen": _without(names, found.seen)}
                for name, found in self.findings.items()
            ],
            "calls": [call._asdict() for call in self._evidence.client.calls],
        }
        return json.dumps(report, ensure_ascii=False, indent=2) + "\n"


def _find(name: str, evidence: Evidence) -> Finding:
    try:
        found = CHECKS[name](evidence)
    except UnknownError as error:
        found = Finding("unknown", str(error))
    return found._replace(seen=evidence.client.sanitize(found.seen))


def _without(names: list[str], text: str) -> str:
    """Remove names and what is left of masked phone numbers."""
    for name in names:
        text = re.sub(rf"(?<!\w){re.escape(sanitize(name))}(?!\w)", "•••", text, flags=re.IGNORECASE)
    return _MASKED_NUMBER.sub("•••", text)
