"""The addresses on which processes listen; other machines must not reach them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOPBACK = {"127.0.0.1", "::1"}


def listening(processes: Iterable[psutil.Process]) -> set[tuple[str, int]]:
    """Return the addresses and ports at which the processes accept connections."""
    sockets: list[Any] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has ended
            sockets += process.net_connections("tcp")
    return {tuple(each.laddr) for each in sockets if each.status == psutil.CONN_LISTEN}
