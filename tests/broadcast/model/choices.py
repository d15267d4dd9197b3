"""The choices of an execution: what they cost, and how all or some of them are tried."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class SeenError(Exception):
    """The rest of this execution was explored before."""


class Budget(NamedTuple):
    """What may still happen."""

    preemptions: int
    faults: int

    def covers(self, other: Budget) -> bool:
        return self.preemptions >= other.preemptions and self.faults >= other.faults

    def minus(self, other: Budget) -> Budget:
        return Budget(self.preemptions - other.preemptions, self.faults - other.faults)


FREE, PREEMPTION, FAULT = Budget(0, 0), Budget(1, 0), Budget(0, 1)


class Option(NamedTuple):
    """A choice: what it costs, and what it is."""

    cost: Budget
    act: Callable[[], None]


class Chooser(Protocol):
    """Decides between options."""

    def choose(self, options: list[Option], state: int | None = None) -> Option: ...


class DepthFirst:
    """
    Follows given choices, then takes the first option each time and keeps the others that the budget allows.

    It ends in a state that was seen before with at least as much budget left.
    """

    def __init__(self, prefix: list[int], budget: Budget, seen: dict[int, tuple[Budget, ...]]) -> None:
        self._prefix, self._seen, self.left = prefix, seen, budget
        self.taken: list[int] = []
        self.others: list[list[int]] = []
        self.met_seen_state = False

    def choose(self, options: list[Option], state: int | None = None) -> Option:
        index, others = 0, []
        if len(self.taken) < len(self._prefix):
            index = self._prefix[len(self.taken)]
        elif state is not None:
            self._require_new(state)
            others = [i for i, option in enumerate(options) if i and self.left.covers(option.cost)]
        self.taken.append(index)
        self.others.append(others)
        self.left = self.left.minus(options[index].cost)
        return options[index]

    def _require_new(self, state: int) -> None:
        known = self._seen.get(state, ())
        if any(budget.covers(self.left) for budget in known):
            self.met_seen_state = True
            raise SeenError
        self._seen[state] = (*(budget for budget in known if not self.left.covers(budget)), self.left)


class AtRandom:
    """Chooses at random, mostly to go on."""

    def __init__(self, seed: int, max_faults: int = 8) -> None:
        self._random = random.Random(seed)  # noqa: S311  # no secret is drawn
        self._faults_left = max_faults

    def choose(self, options: list[Option], state: int | None = None) -> Option:
        free = [option for option in options if option.cost == FREE]
        preemptions = [option for option in options if option.cost == PREEMPTION]
        faults = [option for option in options if option.cost == FAULT]
        draw = self._random.random()
        if preemptions and draw < 0.15:
            return self._random.choice(preemptions)
        if faults and self._faults_left and draw > 0.97:
            self._faults_left -= 1
            return self._random.choice(faults)
        return self._random.choice(free)


def paths(budget: Budget, run: Callable[[DepthFirst], None]) -> Iterator[DepthFirst]:
    """Run once for each path through all choices."""
    seen: dict[int, tuple[Budget, ...]] = {}
    prefix: list[int] = []
    stack: list[tuple[int, list[int]]] = []
    while True:
        chooser = DepthFirst(prefix, budget, seen)
        run(chooser)
        yield chooser
        stack += list(zip(chooser.taken, chooser.others, strict=True))[len(prefix) :]
        while stack and not stack[-1][1]:
            stack.pop()
        if not stack:
            return
        _, others = stack.pop()
        stack.append((others[0], others[1:]))
        prefix = [index for index, _ in stack]
