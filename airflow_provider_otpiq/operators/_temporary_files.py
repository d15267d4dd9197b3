"""What operators have in common whose temporary files hold people."""

from __future__ import annotations

import sys
from signal import SIGTERM


class RemovesTemporaryFiles:
    """A task that ends where Airflow ends it, so that its temporary files are removed."""

    def on_kill(self) -> None:
        """
        End the task: five seconds after this, Airflow 3 ends its process without a chance to remove anything.

        :raises SystemExit: wherever the task is, so that each ``finally`` runs.
        """
        from airflow.providers.common.compat.sdk import AirflowTaskTimeout

        if not isinstance(sys.exception(), AirflowTaskTimeout):  # which has ended it already
            raise SystemExit(128 + SIGTERM)
