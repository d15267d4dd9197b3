"""Machines in a network namespace, each with its own address and hostname."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB = "10.66.0.1"
"""The address of this process, and of what it starts outside of a machine."""

_BRIDGE = "cluster"
_PACKAGES = {"ip": "iproute2", "nsenter": "util-linux", "redis-server": "redis-server", "unshare": "util-linux"}
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """
    Move this process to an empty network, with a bridge on which its address is `HUB`.

    Threads and processes that it starts meanwhile are in it too. Nothing outside can reach them, so each port is free.
    """
    with Path("/proc/thread-self/ns/net").open() as before:
        _require_permission(_libc.unshare(_NEW_NETWORK))
        try:
            ip("link set lo up")
            ip(f"link add {_BRIDGE} type bridge")
            ip(f"address add {HUB}/24 dev {_BRIDGE}")
            ip(f"link set {_BRIDGE} up")
            yield
        finally:
            _require_permission(_libc.setns(before.fileno(), _NEW_NETWORK))


def require(program: str) -> str:
    """Return a program's path, or raise an error that names its Debian package."""
    if found := shutil.which(program):
        return found
    raise FileNotFoundError(f"{program} is missing. Install Debian's package {_PACKAGES[program]}")


def _require_permission(result: int) -> None:
    if result:
        reason = os.strerror(ctypes.get_errno())
        raise PermissionError(f"Network namespaces need root: {reason}")


class Machine:
    """A machine of the network; its namespaces live as long as the process that waits in them."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        command = f"hostname {self.name} && echo ready && read end"
        with subprocess.Popen(
            [require("unshare"), "--net", "--uts", "sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as waits:
            assert waits.stdout
            assert waits.stdout.readline() == b"ready\n"
            self.enter = [require("nsenter"), f"--target={waits.pid}", "--net", "--uts"]
            """The prefix of a command that runs on it."""
            ip(f"link add {self.name} type veth peer name eth0 netns {waits.pid}")
            ip(f"link set {self.name} master {_BRIDGE} up")
            ip("link set lo up", self.enter)
            ip(f"address add {self.address}/24 dev eth0", self.enter)
            ip("link set eth0 up", self.enter)
            yield


def ip(command: str, enter: list[str] | None = None) -> None:
    """Run the program ``ip``, on a machine if ``enter`` is its prefix."""
    subprocess.run([*(enter or []), require("ip"), *command.split()], check=True)
