"""
Chaos around a broadcast: killed tasks, faults of every call, second processes, clocks that jump.

The trouble is drawn from a seed, and the same for whatever runs the tasks: processes (`processes.py`), or a real
scheduler. A seed repeats what is done, not when exactly it meets the tasks, so try one that failed several times.

`OTPIQ_TEST_CHAOS="600 17"` tries more seeds: 17, 18, …, for 600 seconds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import requests

from tests.broadcast.people import everybody, messaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.broadcast.processes import SecondProcesses

PARTS, PART_SIZE, SHARDS = 50, 20, 4
PRICE = 12  # of a message, in IQD
SECONDS_TO_END = 120
"""How long all of it may take once the trouble is over."""

_SECONDS_FOR_A_REQUEST = 2
_LONGEST_SLEEP = 8

READS = ("info", "resources", "payload")
WRITES = ("create", "attach", "update")
STATUSES = (400, 401, 404, 408, 409, 425, 429, 500, 502, 503)
BODIES: tuple[Any, ...] = ({"error": "No"}, {"message": "No"}, {}, [], None, "<html>Bad gateway</html>")
EMPTY_BODIES: tuple[Any, ...] = ("<html>Log in to this network</html>", [], "", 7)
"""Bodies of a 200 that say nothing."""
OTHER_BODIES: tuple[Any, ...] = ({"success": True}, {"success": True, "data": {}}, {"data": {"_id": "f" * 24}})
"""Bodies that another program than OTPIQ's would hardly write: so the request was processed."""
STARTED = {"error": "Only campaigns in draft or scheduled status can be updated"}


needs_time = pytest.mark.skipif("OTPIQ_TEST_CHAOS" not in os.environ, reason="OTPIQ_TEST_CHAOS is not set")


def more_seeds() -> Iterator[int]:
    """Count seeds as ``OTPIQ_TEST_CHAOS`` says."""
    seconds, seed = map(int, os.environ["OTPIQ_TEST_CHAOS"].split())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield seed
        seed += 1


class Tasks(Protocol):
    """What runs the tasks of the broadcast: it creates in all shards, then starts in all shards."""

    tries: int
    """How often tasks were started, or cleared."""

    def processes(self) -> list[int]:
        """List the processes that can be killed."""

    def succeeded(self) -> bool:
        """Run again what has failed, and tell whether all of it has succeeded."""

    def set_clock(self, seconds: int) -> None:
        """Set how far ahead the clock of each task is that is run from now on."""

    def end(self) -> None:
        """End what is still running."""


class Chaos:
    """
    The trouble.

    :param seed: what it is drawn from.
    :param sandbox: OTPIQ.
    :param tasks: the tasks.
    :param second_processes: the second processes of the same tasks.
    :param pause: the longest pause between two troubles, in seconds.
    """

    def __init__(
        self, seed: int, sandbox: Sandbox, tasks: Tasks, second_processes: SecondProcesses, pause: float
    ) -> None:
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311  # no secret is drawn
        self._sandbox = sandbox
        self._tasks = tasks
        self._second_processes = second_processes
        self._pause = pause
        self._clocks = self._jumps()
        self._clock = 0
        self._frozen: dict[int, float] = {}
        """Until when, by process."""
        self.happened: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Make trouble for some seconds, until all of the broadcast has succeeded in spite of it."""
        try:
            self._run(seconds)
        finally:
            self._tasks.end()
            self._second_processes.end()
            print(f"seed {self._seed}: {self._tasks.tries} tries, {dict(self.happened)}")

    def _run(self, seconds: float) -> None:
        self._tasks.succeeded()  # which may take its time to get going
        begin = time.monotonic()
        while not self._tasks.succeeded():
            if time.monotonic() - begin > seconds + SECONDS_TO_END:
                raise TimeoutError(f"not done {SECONDS_TO_END} s after the last trouble: {dict(self.happened)}")
            if time.monotonic() - begin < seconds:
                self._make_trouble()
            next(self._clocks, None)
            self._thaw()
            time.sleep(self._random.uniform(0, self._pause))
        self._thaw(all_of_them=True)
        self._second_processes.wait()

    def _make_trouble(self) -> None:
        kinds = self.kinds()
        (make,) = self._random.choices(list(kinds), list(kinds.values()))
        make()

    def kinds(self) -> dict[Callable[[], None], float]:
        """Give the kinds of trouble, and how often each is drawn."""
        return {self._arm: 8, self._kill: 2, self._start_a_second: 2, self._freeze: 2}

    def _arm(self) -> None:
        call = self._random.choice((*READS, *WRITES, *WRITES))
        fault = self._fault(call)
        if len(self._armed(call)) < 3:
            self._sandbox.arm(call, **{"delay": self._random.choice((0, 0, 0.1)), **fault})
            self.happened[f"{call} {fault.get('status') or fault.get('connection') or 'delay'}"] += 1

    def _armed(self, call: str) -> list[dict[str, Any]]:
        faults = requests.get(f"{self._sandbox.url.removesuffix('/api')}/_sandbox/faults", timeout=10).json()["faults"]
        return [fault for fault in faults if fault["call"] == call]

    def _fault(self, call: str) -> dict[str, Any]:
        choice, when = self._random.choice, self._random.choice(("before", "after"))
        kind = choice(("drop", "cut", "slow", "status", "status", "garbage"))
        if kind in ("drop", "cut"):
            return {"connection": kind, "when": when}
        if kind == "slow":
            return {"times": 5, "delay": 0.3}
        if kind == "garbage":
            # A 2xx in OTPIQ's own shape is a promise.
            return {"status": 200} | choice((
                {"body": choice(EMPTY_BODIES), "when": when},
                {"body": choice(OTHER_BODIES), "when": "after"},
            ))  # fmt: skip
        status = choice(STATUSES)
        if call == "update" and self._clock and status == 409:
            status = 500  # from now on, it would be OTPIQ's own statement that the campaign has started
        says_started = call == "update" and not self._clock and status == 400 and self._random.random() < 0.5
        headers = {"Retry-After": choice(("1", "2"))} if status == 429 else {}
        return {"status": status, "body": STARTED if says_started else choice(BODIES), "headers": headers, "when": when}

    def _kill(self) -> None:
        if self._random.random() < 0.7:  # otherwise most are killed while Python starts
            self._wait_for_a_request()
        if processes := self._tasks.processes():
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(processes), signal.SIGKILL)
                self.happened["killed"] += 1

    def _wait_for_a_request(self) -> None:
        last, until = self._sandbox.requests[-1:], time.monotonic() + _SECONDS_FOR_A_REQUEST
        while self._sandbox.requests[-1:] == last and time.monotonic() < until:
            time.sleep(0.01)

    def _start_a_second(self) -> None:
        step, shard = self._random.choice(("create", "start")), self._random.randrange(SHARDS)
        self._second_processes.start(step, shard, self._random.choice((0, self._clock)))
        self.happened["second process"] += 1

    def _freeze(self) -> None:
        """Let a second process sleep, so that it goes on when the world has changed."""
        self._wait_for_a_request()
        if processes := self._second_processes.processes():
            pid, seconds = self._random.choice(processes), self._random.uniform(0.2, _LONGEST_SLEEP)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self._frozen[pid] = time.monotonic() + seconds
                self.happened["frozen"] += 1

    def _thaw(self, *, all_of_them: bool = False) -> None:
        for pid, until in list(self._frozen.items()):
            if all_of_them or until < time.monotonic():
                del self._frozen[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _jumps(self) -> Iterator[None]:
        """Move OTPIQ's clock and the tasks' past the time of the start, one after the other, in the middle."""
        middle, by = self._random.randrange(5, PARTS - 5), self._random.randint(11, 19) * 60
        while not self._may_jump(middle):
            yield
        self._clock = by  # which keeps faults away that would be believed
        moves: list[Callable[[], None]]
        moves = [lambda: self._sandbox.move_clock(seconds=by), lambda: self._tasks.set_clock(by)]
        self._random.shuffle(moves)
        for move in moves:
            move()
            self.happened["clock moved"] += 1
            until = time.monotonic() + self._random.uniform(0, 4)
            while time.monotonic() < until:
                yield

    def _may_jump(self, middle: int) -> bool:
        is_promise = {400, 409}.__contains__
        return len(started(self._sandbox)) >= middle and not any(is_promise(f["status"]) for f in self._armed("update"))


def started(sandbox: Sandbox) -> list[dict[str, Any]]:
    """List the campaigns that are scheduled, run or have run."""
    return [campaign for campaign in sandbox.campaigns if campaign["status"] != "draft"]


def check_books(sandbox: Sandbox, xcoms: dict[str, list[dict[str, Any]]]) -> None:
    """Check OTPIQ's own books, and what the tasks say of them."""
    assert messaged(sandbox) == everybody(PARTS, PART_SIZE)
    assert len(started(sandbox)) == PARTS
    for step in ("create", "start"):
        assert sum(xcom["recipients"] for xcom in xcoms[step]) == PARTS * PART_SIZE
        assert sum(xcom["estimated_cost"] for xcom in xcoms[step]) == PARTS * PART_SIZE * PRICE
    assert sum(xcom["campaigns"] for xcom in xcoms["create"]) == PARTS
    assert sum(xcom["scheduled"] + xcom["already_scheduled"] for xcom in xcoms["start"]) == PARTS
    sandbox.move_clock(days=1)
    assert {campaign["status"] for campaign in started(sandbox)} == {"completed"}
    assert messaged(sandbox) == everybody(PARTS, PART_SIZE)
