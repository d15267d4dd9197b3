"""Where processes listen: nothing of this repository may be reached from another machine."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK = {"127.0.0.1", "::1"}


def listening(processes: Iterable[psutil.Process]) -> set[tuple[str, int]]:
    """Give the addresses and ports at which any of the processes accepts connections."""
    sockets: list[Any] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has just ended
            sockets += process.net_connections("tcp")
    return {tuple(each.laddr) for each in sockets if each.status == psutil.CONN_LISTEN}
