"""
An execution: it runs actors as greenlets, and decides at each operation who continues and what goes wrong.

An actor is a process that runs tasks one after the other. It runs until its next operation on the world, where it
waits to be chosen. Then it continues, or another actor does (a preemption), or the operation fails (a fault).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import greenlet
from airflow.providers.common.compat.sdk import AirflowFailException

from tests.broadcast.model import world as worlds
from tests.broadcast.model.choices import FAULT, FREE, PREEMPTION, Option

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.broadcast.model.choices import Chooser
    from tests.broadcast.model.world import Operation, World

KILLED = "is killed after it"
KILLED_LATE = "is killed, and the write happens later"
LOST = "the request is lost"
RESPONSE_LOST = "the response is lost"
LATE = "no response; the request takes effect later"
REFUSED = "is refused: 400 'No'"
REFUSED_AFTER = "takes effect, and the response is 400 'No'"
CONFLICT = "is refused: 409 'No', although the campaign has not started"
ALREADY_EXISTS = "the store retries it, and says that it exists"

USUAL = frozenset({KILLED, KILLED_LATE, LOST, RESPONSE_LOST, LATE, REFUSED_AFTER, ALREADY_EXISTS})
REFUSALS = frozenset({KILLED, REFUSED, REFUSED_AFTER, CONFLICT})
ALL = USUAL | REFUSALS

_TAKES_EFFECT = {"", KILLED, RESPONSE_LOST, REFUSED_AFTER, ALREADY_EXISTS}
_FAULTS = {
    "POST": (KILLED, LOST, RESPONSE_LOST, LATE, REFUSED, REFUSED_AFTER),
    "PATCH": (KILLED, LOST, RESPONSE_LOST, LATE, REFUSED, CONFLICT),
    "create": (KILLED, ALREADY_EXISTS),
    "write": (KILLED, KILLED_LATE),
    "delete": (KILLED,),
    "sleep": (KILLED,),
}


class KilledError(BaseException):
    """The end of a process."""


class Step(NamedTuple):
    """A task of an actor or of the operator."""

    name: str
    run: Callable[[], None]


@dataclass
class Actor:
    """A process that runs tasks; Airflow runs a task again until its ``tries`` are used."""

    name: str
    steps: list[Step]
    tries: int
    clears_failed: bool = False
    """Whether a task is run again too if its error is one that a retry cannot fix."""
    done_steps: int = 0
    pending: Operation | None = None
    is_done: bool = False
    is_dead: bool = False
    history: int = 0
    """What its task has seen of the world: with one history, it does the same next."""
    glet: Any = None
    errors: list[Exception] = field(default_factory=list)

    @property
    def key(self) -> tuple[Any, ...]:
        return self.history, self.done_steps, self.tries, self.is_done, self.glet is None

    def remember(self, *seen: object) -> None:
        self.history = hash((self.history, *map(repr, seen)))


class Execution:
    """
    One execution of all actors.

    :param world: where they act.
    :param actors: the actors.
    :param chooser: decides.
    :param faults: what may go wrong.
    :param is_quiet: returns whether no other actor notices an operation, so that nothing is decided there.
    :param trace: receives a line for each event.
    """

    def __init__(
        self,
        world: World,
        actors: list[Actor],
        chooser: Chooser,
        faults: frozenset[str],
        is_quiet: Callable[[Operation], bool],
        trace: list[str] | None = None,
    ) -> None:
        self.world, self.actors, self._chooser = world, actors, chooser
        self._faults, self._is_quiet, self.trace = faults, is_quiet, trace
        self._hub = greenlet.getcurrent()
        self._current: Actor | None = None
        self.late: list[Operation] = []
        """What takes effect only later."""

    def run(self) -> None:
        try:
            while running := [actor for actor in self.actors if not actor.is_done]:
                if self._current not in running:
                    self._choose([Option(FREE, self._switch_to(actor)) for actor in running])
                self._decide(running)
            for operation in list(self.late):
                self._choose([Option(FREE, lambda o=operation: self._happen(o)), Option(FREE, _nothing)])  # type: ignore[misc]
        finally:
            for actor in self.actors:
                self._stop(actor)
            self.world.perform = self._perform_afterwards

    def _decide(self, running: list[Actor]) -> None:
        actor = self._actor
        if actor.pending is None:
            self._resume(actor, None)
            return
        if actor.pending.kind == "sleep" and (in_flight := self._in_flight(actor)):
            self._choose([Option(FREE, option) for option in in_flight])
            return
        options = [Option(FREE, self._go_on(actor, ""))]
        options += [Option(FAULT, self._go_on(actor, fault)) for fault in self._possible_faults(actor.pending)]
        if actor.pending.target != worlds.CAMPAIGNS:  # no other actor knows a new draft
            options += [Option(PREEMPTION, self._switch_to(other)) for other in running if other is not actor]
            options += [Option(PREEMPTION, lambda o=late: self._happen(o)) for late in self.late]  # type: ignore[misc]
        self._choose(options)

    def _in_flight(self, sleeping: Actor) -> list[Callable[[], None]]:
        """Return how the requests in flight take effect: an actor sleeps for longer than that takes."""
        actors = [actor for actor in self.actors if actor is not sleeping and actor.pending and not actor.is_done]
        return [
            *(self._switch_to(actor) for actor in actors if actor.pending and actor.pending.kind == "PATCH"),
            *(lambda o=late: self._happen(o) for late in self.late if late.kind == "PATCH"),
        ]

    def _perform_afterwards(self, operation: Operation) -> Any:
        """Perform an operation of a person, once the actors are done."""
        for late in [late for late in self.late if late.kind == "PATCH" and operation.kind == "sleep"]:
            self._happen(late)
        return operation.effect()

    @property
    def _actor(self) -> Actor:
        assert self._current is not None
        return self._current

    def _choose(self, options: list[Option]) -> None:
        self._chooser.choose(options, self._key() if len(options) > 1 else None).act()

    def _key(self) -> int:
        late = tuple(sorted((operation.target, operation.content) for operation in self.late))
        current = self._current and self._current.name
        return hash((self.world.key, tuple(actor.key for actor in self.actors), late, current))

    def _possible_faults(self, operation: Operation) -> list[str]:
        found = [fault for fault in _FAULTS.get(operation.kind, ()) if fault in self._faults]
        # A refused create concerns no other actor. Later, OTPIQ is believed that the campaign has started.
        if operation.kind == "POST" and not operation.target.endswith("/recipients"):
            found = [fault for fault in found if fault not in REFUSALS or fault == KILLED]
        return [fault for fault in found if fault != CONFLICT or not self.world.seconds]

    def _switch_to(self, actor: Actor) -> Callable[[], None]:
        def switch() -> None:
            self._current = actor

        return switch

    def _happen(self, operation: Operation) -> None:
        self.late.remove(operation)
        self.tell("later", f"{operation} takes effect")
        operation.effect()

    def _go_on(self, actor: Actor, fault: str) -> Callable[[], None]:
        def go_on() -> None:
            operation = actor.pending
            assert operation is not None
            result = operation.effect() if fault in _TAKES_EFFECT else None
            if self.trace is not None:
                self.tell(actor.name, f"{operation} -> {(fault and f'*** {fault}') or _short(result)}")
            if fault in (LATE, KILLED_LATE):
                self.late.append(operation)
            if fault in (KILLED, KILLED_LATE):
                self._kill(actor)
            else:
                result = _result_of(fault, operation, result)
                actor.remember(operation.kind, operation.target, result, self.world.seconds)
                self._resume(actor, result)

        return go_on

    def _resume(self, actor: Actor, result: object) -> None:
        """Let an actor run up to its next operation."""
        if actor.glet is None:
            actor.glet = greenlet.greenlet(self._run_steps)
            result = actor
            self.tell(actor.name, f"begins {actor.steps[actor.done_steps].name}")
        actor.pending = None
        self.world.perform = self._wait
        try:
            actor.glet.switch(result)
        except KilledError:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the task's error
            self._fail(actor, error)
        if actor.pending is None and actor.glet is not None:
            actor.is_done = True

    def _run_steps(self, actor: Actor) -> None:
        while actor.done_steps < len(actor.steps):
            step = actor.steps[actor.done_steps]
            step.run()
            actor.done_steps += 1
            actor.history = 0  # a task leaves nothing behind but what is in the world
            self.tell(actor.name, f"{step.name} succeeds")

    def _wait(self, operation: Operation) -> Any:
        """Hand an operation over, and wait for its result."""
        actor = self._actor
        if actor.is_dead:
            raise KilledError
        if self._is_quiet(operation):
            result = operation.effect()
            actor.remember(operation.kind, operation.target, result, self.world.seconds)
            return result
        actor.pending = operation
        return self._hub.switch()

    def _fail(self, actor: Actor, error: Exception) -> None:
        self.tell(actor.name, f"fails: {type(error).__name__}: {error}")
        actor.errors.append(error)
        self._end_try(actor, is_final=isinstance(error, AirflowFailException) and not actor.clears_failed)

    def _kill(self, actor: Actor) -> None:
        self._stop(actor)
        self._end_try(actor, is_final=False)

    def _end_try(self, actor: Actor, *, is_final: bool) -> None:
        actor.glet = actor.pending = None
        actor.history = 0
        actor.tries -= 1
        actor.is_done = is_final or not actor.tries

    def _stop(self, actor: Actor) -> None:
        """Raise in the middle of what an actor does: nothing of it reaches the world any more."""
        if actor.glet is None or actor.glet.dead:
            return
        current, self._current, actor.is_dead = self._current, actor, True
        with suppress(KilledError, Exception):  # a killed process reports nothing
            actor.glet.throw(KilledError)
        self._current, actor.is_dead = current, False

    def tell(self, who: str, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"[{who}, minute {self.world.seconds / 60:g}] {text}")


def _nothing() -> None:
    pass


def _result_of(fault: str, operation: Operation, result: object) -> object:
    if fault in (LOST, RESPONSE_LOST, LATE):
        return worlds.LostError()
    if fault in (REFUSED, REFUSED_AFTER):
        return 400, {"error": "No"}
    if fault == CONFLICT:
        return 409, {"error": "No"}
    return FileExistsError(operation.target) if fault == ALREADY_EXISTS else result


def _short(result: object) -> str:
    if isinstance(result, bytes):
        return worlds.summary(result) or f"{len(result)} bytes"
    return str(result)[:100]
