"""The tasks of a broadcast under a real scheduler, as chaos sees them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.broadcast.chaos import SHARDS
from tests.broadcast.processes import STEPS
from tests.system.observing import clear

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psutil

    from dev.running_airflow import RunningAirflow

_SECONDS_BETWEEN_LOOKS = 2


class ScheduledTasks:
    """
    The tasks of a run of ``broadcast_under_chaos``.

    :param airflow: the Airflow.
    :param audience: the path of the audience's manifest.
    :param running: lists the processes that run a task.
    :param homes: the folders of all Airflows that run tasks.
    """

    def __init__(
        self, airflow: RunningAirflow, audience: str, running: Callable[[], list[psutil.Process]], homes: list[Path]
    ) -> None:
        self._airflow = airflow
        self._running = running
        self._homes = homes
        self.set_clock(0)
        self.run = airflow.trigger("broadcast_under_chaos", audience=audience)
        self.tries = 0
        self._next_look = 0.0

    def processes(self) -> list[int]:
        """List the processes that run a task, and those above them that look after them."""
        return [pid for runner in self._running() for pid in (runner.pid, runner.ppid()) if pid != 1]

    def set_clock(self, seconds: int) -> None:
        for home in self._homes:
            (home / "clock-of-the-tasks").write_text(str(seconds))

    def succeeded(self) -> bool:
        """Clear what failed, as a person does, once nothing runs any more."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        response = self._airflow.api("GET", self.run)
        state = response.json()["state"] if response.ok else ""
        if state == "failed":
            self.tries += 1
            clear(self._airflow, self.run, only_failed=True)  # where that fails, the next look does it
        return bool(state == "success")

    def xcoms(self) -> dict[str, list[dict[str, Any]]]:
        return {
            step: [self._airflow.xcom(self.run, step, "broadcast", shard) for shard in range(SHARDS)] for step in STEPS
        }

    def end(self) -> None:
        """End the tasks that lost their supervisor."""
        for each in self._running():
            if each.ppid() == 1:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
