"""A broadcast from S3 under chaos, for as long as ``OTPIQ_TEST_CHAOS`` says: workers, scheduler and Redis die too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.broadcast.chaos import PART_SIZE, PARTS, SHARDS, Chaos, check_books, more_seeds, needs_time
from tests.broadcast.people import write_audience
from tests.broadcast.processes import Launcher, SecondProcesses
from tests.system.scheduled_tasks import ScheduledTasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.celery.cluster import Cluster, Program
    from tests.system.object_store import Store

pytestmark = pytest.mark.celery


class ClusterChaos(Chaos):
    """Chaos in which the parts of a cluster are restarted too."""

    cluster: Cluster

    def kinds(self) -> dict[Callable[[], None], float]:
        programs = {"scheduler": self.cluster.scheduler, "redis": self.cluster.redis}
        programs |= {worker.machine.name: worker for worker in self.cluster.workers}
        restarts = {partial(self._restart, name, program): 0.1 for name, program in programs.items()}
        return super().kinds() | restarts

    def _restart(self, name: str, program: Program) -> None:
        program.restart()
        self.happened[f"{name} restarted"] += 1


@needs_time
def test_whatever_happens_each_person_is_in_one_campaign_that_starts(
    cluster: Cluster, sandbox: Sandbox, store: Store, tmp_path: Path
) -> None:
    for seed in more_seeds():
        sandbox.reset()
        audience = write_audience(f"{store.url}/chaos-{seed}", PARTS, PART_SIZE)
        launcher = Launcher(audience, SHARDS, sandbox, tmp_path / "log", environment=store.environment)
        homes = [worker.home for worker in cluster.workers]
        tasks = ScheduledTasks(cluster.airflow, audience, cluster.tasks, homes)
        chaos = ClusterChaos(seed, sandbox, tasks, SecondProcesses(launcher), pause=0.2)
        chaos.cluster = cluster
        chaos.run(seconds=60)
        check_books(sandbox, tasks.xcoms())
