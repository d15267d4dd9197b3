"""A scenario: the actors, what may go wrong, what a person does afterwards, and the invariants."""

from __future__ import annotations

import copy
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq.exceptions import OtpiqError
from tests.broadcast.model import world as worlds
from tests.broadcast.model.choices import Budget, DepthFirst, SeenError, paths
from tests.broadcast.model.execution import USUAL, Actor, Execution, Step
from tests.broadcast.model.tasks import create, people, prepare, restore, start
from tests.broadcast.model.world import World

if TYPE_CHECKING:
    from tests.broadcast.model.choices import Chooser
    from tests.broadcast.model.world import Campaign, Operation

_DAYS = 3 * 86400
_SECONDS_TO_CLEAR = 120
_FALSE_ALARM = re.compile(r"ledger are missing|restore (it|them|the ledger)", re.IGNORECASE)
LOST_IN_LEDGER = "(is|are) missing|was replaced|is not the ledger|begun with another|exists, but cannot be read"


@dataclass
class Aftermath:
    """The state after a person has cleared the tasks and the time has passed."""

    campaigns: list[Campaign]
    """The campaigns that have started."""
    starts: int
    errors: list[Exception]
    error: Exception | None
    """The last error, if no try of the person has succeeded."""
    stopped: tuple[str, ...] | None
    """The campaigns that were too late for the last stop; None if there was none, or a start has succeeded since."""
    was_too_late: bool
    """Whether the person has set a larger `max_delay`, as an error advises."""


@dataclass
class Scenario:
    """Actors that act at once, and the invariants."""

    actors: dict[str, list[Step]]
    setup: list[Step] = field(default_factory=list)
    then: list[list[Step]] = field(default_factory=lambda: [[create(), start()]])
    """The steps that a person tries afterwards, one list after the other, until one succeeds."""
    faults: frozenset[str] = USUAL
    tries: int = 1
    clears_failed: bool = False
    parts: int = 2
    first: int = 0
    """The first number of the audience."""
    world: dict[str, Any] = field(default_factory=dict)
    minutes: int | None = None
    """The requested time, in minutes; None if it is left to the lead time."""
    max_delay: int = 30
    may_end_in: str = "(?!)"
    """A pattern of the errors that may remain in the end."""
    watches_audience: bool = False
    """Whether an actor prepares the audience, so that the order of reading it matters."""
    release: str = ""
    """The release of this package that has written the audience and the ledger, instead of a setup."""
    _aftermaths: dict[int, Aftermath] = field(default_factory=dict, init=False)
    _begin: World | None = field(default=None, init=False)

    def run(self, chooser: Chooser, trace: list[str] | None = None) -> list[str]:
        """Run the actors once, and list what is wrong afterwards."""
        world = worlds.enter(self._new_world())
        actors = [Actor(name, steps, self.tries, self.clears_failed) for name, steps in self.actors.items()]
        execution = Execution(world, actors, chooser, self.faults, self._is_quiet, trace)
        try:
            execution.run()
        except SeenError:  # its end is known, but not this path to it
            return self._wrong_errors([error for actor in actors for error in actor.errors])
        replaced = self._sent_although_replaced(world)
        aftermath = self._aftermath(world, execution)
        errors = [*aftermath.errors, *(error for actor in actors for error in actor.errors)]
        return [*replaced, *self._wrong_errors(errors), *self._wrong_books(aftermath)]

    def _new_world(self) -> World:
        if self._begin is None:
            self._begin = worlds.enter(World(**self.world))
            for step in [restore(self.release)] if self.release else [prepare(self.parts), *self.setup]:
                step.run()
            self._begin.was_replaced = False
        begin = self._begin
        return replace(begin, objects=dict(begin.objects), campaigns=copy.deepcopy(begin.campaigns))

    def _is_quiet(self, operation: Operation) -> bool:
        is_audience = "/parts/" in operation.target or operation.target.endswith("/manifest.json")
        return operation.kind == "GET" or (is_audience and not self.watches_audience)

    # --- what a person does

    def _aftermath(self, world: World, execution: Execution) -> Aftermath:
        key = hash((world.key, tuple((operation.target, operation.content) for operation in execution.late)))
        if key not in self._aftermaths or execution.trace is not None:
            self._aftermaths[key] = self._clear(world, execution)
        return self._aftermaths[key]

    def _clear(self, world: World, execution: Execution) -> Aftermath:
        errors: list[Exception] = []
        error: Exception | None = None
        was_too_late = False
        for steps in self.then:
            for _ in range(3):
                error = self._try(steps, execution)
                errors += [error] if error else []
                world.move_clock(world.seconds + _SECONDS_TO_CLEAR)
                if error is None:
                    break
            if error is None or "too late" in str(error):
                break
        if error and "too late" in str(error):
            was_too_late = True
            error = self._try([start(self.minutes, max_delay=10**5)], execution)
        for operation in execution.late:
            operation.effect()
        world.move_clock(world.seconds + _DAYS)
        started = [campaign for campaign in world.campaigns.values() if world.has_started(campaign)]
        return Aftermath(started, world.starts, errors, error, world.stopped, was_too_late)

    def _try(self, steps: list[Step], execution: Execution) -> Exception | None:
        for step in steps:
            try:
                step.run()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is the task's error
                execution.tell("person", f"{step.name} fails: {type(error).__name__}: {error}")
                return error
            execution.tell("person", f"{step.name} succeeds")
        return None

    # --- what must hold

    def _sent_although_replaced(self, world: World) -> list[str]:
        sent = [c.name for c in world.campaigns.values() if c.time is not None and c.name.startswith("Summer")]
        return ["sent by the actors, although a create had replaced it"] if world.was_replaced and sent else []

    def _wrong_errors(self, errors: list[Exception]) -> list[str]:
        found = [f"crash: {type(error).__name__}" for error in errors if not isinstance(error, OtpiqError | OSError)]
        texts = list(map(str, errors))
        if self.may_end_in != LOST_IN_LEDGER:
            found += ["an error says that something is lost"] * any(map(_FALSE_ALARM.search, texts))
        if not self.world.get("otpiq_is_ahead"):
            found += ["a time had passed when OTPIQ was asked for it"] * any(
                "must be in the future" in t for t in texts
            )
        return found

    def _wrong_books(self, aftermath: Aftermath) -> list[str]:
        return [
            *self._wrong_people(aftermath),
            *self._wrong_times(aftermath),
            *["/start was called"] * bool(aftermath.starts),
            *["several requests started"] * (len({request_of(c) for c in aftermath.campaigns}) > 1),
            *["started without credit"] * (bool(aftermath.campaigns) and "credit" in self.world),
            *self._stuck(aftermath),
        ]

    def _wrong_people(self, aftermath: Aftermath) -> list[str]:
        audience = people(self.parts, self.first)
        everybody = {number for part in audience for number in part}
        got = Counter(number for campaign in aftermath.campaigns for number in campaign.people)
        found = ["a person gets it twice"] * any(count > 1 for count in got.values())
        found += ["a stranger gets it"] * bool(set(got) - everybody)
        found += ["a campaign is not a part"] * any(list(c.people) not in audience for c in aftermath.campaigns)
        found += ["a person gets nothing, and all tasks are green"] * (
            aftermath.error is None and bool(everybody - set(got))
        )
        return found

    def _wrong_times(self, aftermath: Aftermath) -> list[str]:
        if aftermath.was_too_late or self.minutes is None:
            return []
        latest = self.minutes + self.max_delay
        minutes = [worlds.minute_of(campaign.time or "") for campaign in aftermath.campaigns]
        return ["a wrong time"] * any(not self.minutes <= minute <= latest for minute in minutes)

    def _stuck(self, aftermath: Aftermath) -> list[str]:
        error = aftermath.error
        return [f"stuck: {error}"[:200]] if error and not re.search(self.may_end_in, str(error)) else []


def request_of(campaign: Campaign) -> str:
    return campaign.name.rpartition(" ")[0]


class Explored(NamedTuple):
    """The result of an exploration."""

    executions: int
    """The executions that ran to their end. The others met a state that was explored before."""
    wrong: dict[str, list[int]]
    """The violations, with the choices of the shortest execution."""


def explore(scenario: Scenario, budget: Budget, until: str | None = None) -> Explored:
    """Run all executions within a budget, or until a violation contains ``until``."""
    executions = 0
    wrong: dict[str, list[int]] = {}

    def run(chooser: DepthFirst) -> None:
        for text in scenario.run(chooser):
            wrong[text] = min(wrong.get(text, chooser.taken), chooser.taken, key=len)

    for chooser in paths(budget, run):
        executions += not chooser.met_seen_state
        if until and any(until in text for text in wrong):
            break
    return Explored(executions, wrong)


def trace(scenario: Scenario, choices: list[int]) -> list[str]:
    """Run one execution again, and list what happens."""
    lines: list[str] = []
    scenario.run(DepthFirst(choices, Budget(0, 0), {}), lines)
    return lines
