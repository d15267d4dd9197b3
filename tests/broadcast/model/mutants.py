"""The mutants of the protocol: each removes one of its rules, and the model must find the violation."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.broadcast.model.choices import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = "airflow_provider_otpiq"
# In the order of their imports: a module is loaded again after one that it imports.
_MODULES = [
    f"{_PACKAGE}._ledger.records",
    f"{_PACKAGE}._ledger.ledger",
    f"{_PACKAGE}._ledger.history",
    f"{_PACKAGE}._audience.output",
    f"{_PACKAGE}._broadcast.result",
    f"{_PACKAGE}._broadcast.process",
    f"{_PACKAGE}._broadcast.campaigns",
    f"{_PACKAGE}._broadcast.checks",
    f"{_PACKAGE}._broadcast.begin",
    f"{_PACKAGE}._broadcast.create",
    f"{_PACKAGE}._broadcast.times",
    f"{_PACKAGE}._broadcast.schedule",
    f"{_PACKAGE}._broadcast.start",
    f"{_PACKAGE}._broadcast.stop",
]


class Mutant(NamedTuple):
    """A changed line of the package, and the violation that follows."""

    module: str
    old: str
    new: str
    scenario: str
    """The scenario that finds it."""
    wrong: str
    """The violation."""
    budget: Budget = Budget(1, 1)


_TWICE = "a person gets it twice"
_NOT_STOPPED = "a stopped campaign has started"
MUTANTS = {
    "a schedule is saved after it was requested": Mutant(
        "_broadcast.schedule",
        "return self.ledger.claim(part, schedule, self.number)",
        "return schedule",
        "one run, and the clock",
        "stuck",
    ),
    "a claim is not exclusive": Mutant(
        "_ledger.ledger",
        "if self.folder.create(name, record.to_json()):",
        "if self.folder.write(name, record.to_json()) is None:",
        "two runs",
        _TWICE,
        Budget(2, 0),
    ),
    "a scheduled campaign is not compared with its part": Mutant(
        "_broadcast.schedule",
        "if campaign is not None:",
        "if False:",
        "a start of a campaign with a stranger, and a paused template",
        "a stranger gets it",
    ),
    "a campaign is not taken back before a try is refused": Mutant(
        "_broadcast.start",
        "too_large = self._take_back_too_large()",
        "too_large = {}",
        "a start of a campaign with a stranger, and a paused template",
        "a stranger gets it",
    ),
    "any conflict means that the campaign has started": Mutant(
        "_broadcast.schedule",
        "raise  # so somebody else has started or ended it, or OTPIQ means something else",
        "pass",
        "two starts, and refusals",
        "a person gets nothing, and all tasks are green",
    ),
    "the credit is not compared": Mutant(
        "_broadcast.checks",
        "if available is not None and required > available:",
        "if False:",
        "too little credit",
        "started without credit",
    ),
    "the request is not read again after the start was claimed": Mutant(
        "_broadcast.checks",
        "if ledger.is_replaced():",
        "if False:",
        "a replace beside a start",
        "although a create had replaced it",
    ),
    "a start does not wait for its create": Mutant(
        "_broadcast.checks",
        'if missing:\n        raise _refusal(\n            f"{len(missing)} of',
        'if False:\n        raise _refusal(\n            f"{len(missing)} of',
        "a create in three shards, one of which waits",
        "crash",
    ),
    "each request has a start": Mutant(
        "_ledger.ledger",
        'self._records.claim(_numbered("start", number), start)',
        'self._records.claim(self._path(_numbered("start", number)), start)',
        "a replace and its start beside a start",
        "stuck",
    ),
    "a start of another request counts": Mutant(
        "_ledger.ledger",
        "if start.request == self._id:",
        "if True:",
        "a replace and its start beside a start",
        _TWICE,
    ),
    "the start of version 0.6.0 is not read": Mutant(
        "_ledger.ledger",
        "or self._start_below_a_request()",
        "",
        "a replace beside a start of version 0.6.0",
        "an error says that something is lost",  # its schedules show that there was a start
    ),
    "a start is read after the campaigns": Mutant(
        "_broadcast.create",
        "    if has_begun:\n",
        "    if ledger.has_begun():\n",
        "a create beside a run",
        "an error says that something is lost",
    ),
    "an audience that lost its manifest does not get it back": Mutant(
        "_audience.output",
        " or manifest.checksum in checksums_in_use(self.folder)",
        "",
        "the same rows prepared beside a run",
        "stuck",
    ),
    "a time that has passed is asked for once": Mutant(
        "_broadcast.schedule",
        "if not is_about_time or not can_be_later(self.request, time):",
        "if True:",
        "a start that is frozen twice",
        "a time had passed when OTPIQ was asked for it",
    ),
    "a start does not check for a stop": Mutant(
        "_broadcast.start",
        "if self._ledger.is_stopped(self._number):",
        "if False:",
        "a stop beside a start",
        _NOT_STOPPED,
    ),
    "a stop does not wait for requests in flight": Mutant(
        "_broadcast.stop",
        'wait_for_requests_in_flight(self._hook, "a request of a start may still take effect")',
        "pass",
        "a stop beside a start",
        _NOT_STOPPED,
    ),
    "a stop makes campaigns drafts only once": Mutant(
        "_broadcast.stop",
        "if self._make_draft(part):",
        "if True:",
        "a stop beside a start",
        _NOT_STOPPED,
    ),
    "a stop does not check for a new start": Mutant(
        "_broadcast.stop",
        "if self._ledger.is_started_again(self._number):",
        "if False:",
        "two stops, and a start at another time",
        "a person gets nothing, and all tasks are green",
    ),
    "a start after a stop does not wait for requests in flight": Mutant(
        "_broadcast.start",
        "if self._missing and self._number > 1:",
        "if False:",
        "two stops, and a start at another time",
        "a person gets nothing, and all tasks are green",
    ),
    "a start does not wait for all shards of a stop": Mutant(
        "_broadcast.checks",
        "    if left:\n",
        "    if False:\n",
        "a stop in two shards, and a start at another time",
        "a person gets nothing, and all tasks are green",
    ),
    "a start that was stopped begins again at the same time": Mutant(
        "_broadcast.checks",
        "if request.scheduled_for in [",
        "if None in [",
        "a stop beside a start that is cleared",
        "a stopped start has begun again",
    ),
}


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Load the package's modules with the mutant's line, and afterwards without it."""
    changed = f"{_PACKAGE}.{mutant.module}"
    source = _source(changed)
    assert source.count(mutant.old) == 1, f"the line of the mutant is not in {changed}: {mutant.old!r}"
    try:
        _load({changed: source.replace(mutant.old, mutant.new)})
        yield
    finally:
        _load({})


def _load(sources: dict[str, str]) -> None:
    for name in _MODULES:
        module = import_module(name)
        code = compile(sources.get(name) or _source(name), str(module.__file__), "exec")
        exec(code, module.__dict__)  # noqa: S102  # it is the package's own source


def _source(name: str) -> str:
    import_module(name)
    return Path(str(sys.modules[name].__file__)).read_text()
