"""A folder of objects: local here, and as in an object store by fsspec's own in memory."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_otpiq._state.ledger import Broadcast, Ledger
from airflow_provider_otpiq._storage import Folder, split_location
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from tests.fakes import PHONE_NUMBER_ID, TEMPLATE_ID

if TYPE_CHECKING:
    from pathlib import Path


class LaxStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that does not know exclusive creation."""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value, mode="overwrite", **kwargs)


@pytest.fixture(autouse=True)
def _stores() -> None:
    try:
        from airflow.sdk.io import attach
    except ImportError:  # Airflow 2
        from airflow.io.store import attach  # type: ignore[no-redef,import-not-found]
    attach("memory", conn_id="plain", fs=MemoryFileSystem())
    attach("memory", conn_id="lax", fs=LaxStore())
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["local", "file://", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    roots = {"local": str(tmp_path), "file://": f"file://{tmp_path}", "memory": "memory://plain@bucket"}
    return Folder(f"{roots[request.param]}/a folder[1]*/علي/")


def test_an_object_is_read_as_it_was_written(folder: Folder) -> None:
    assert folder.read("deep/one.json") is None
    folder.write("deep/one.json", b"1")
    folder.write("deep/one.json", b"2")
    folder.write("two.json", b"3")
    assert folder.read("deep/one.json") == b"2"
    assert folder.read_all(["deep/one.json", "two.json", "deep/three.json"]) == {
        "deep/one.json": b"2",
        "two.json": b"3",
    }
    folder.delete("two.json")
    folder.delete("two.json")
    assert folder.read("two.json") is None


def test_an_object_is_created_once(folder: Folder) -> None:
    assert folder.create("deep/one.json", b"1")
    assert not folder.create("deep/one.json", b"2")
    assert folder.read("deep/one.json") == b"1"
    folder.require_exclusive_creation("deep/one.json")


def test_of_many_at_once_one_creates(folder: Folder) -> None:
    winners: list[int] = []
    ready = threading.Barrier(8)

    def create(number: int) -> None:
        ready.wait()
        if folder.create("one.json", b"%d" % number * 10_000):
            winners.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.read("one.json") == b"%d" % winners[0] * 10_000
    assert len(winners) == 1


def test_nothing_else_is_left_in_a_local_folder(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("one.json", b"1")
    folder.create("one.json", b"2")
    (tmp_path / "two.json").mkdir()
    with pytest.raises(IsADirectoryError):
        folder.write("two.json", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


@pytest.mark.parametrize("write", [Folder.write, Folder.create])
def test_a_full_disk_leaves_nothing(tmp_path: Path, write: Any) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            write(Folder(str(tmp_path)), "x", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_exclusive_creation_is_refused() -> None:
    folder = Folder("memory://lax@bucket/ledger")
    folder.write("one.json", b"1")
    with pytest.raises(OtpiqConfigurationError, match="does not refuse to create an object that exists"):
        folder.require_exclusive_creation("one.json")


def test_no_broadcast_begins_in_a_store_without_exclusive_creation() -> None:
    broadcast = Broadcast(
        request={}, audience="", audience_checksum="", template_id=TEMPLATE_ID, phone_number_id=PHONE_NUMBER_ID
    )
    with pytest.raises(OtpiqConfigurationError, match="does not refuse to create an object that exists"):
        Ledger("memory://lax@bucket/ledger").begin(broadcast)


def test_a_relative_path_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Folder("a").write("one.json", b"1")
    assert (tmp_path / "a" / "one.json").read_bytes() == b"1"
    assert Folder(".").read("a/one.json") == Folder(str(tmp_path)).read("a/one.json") == b"1"
    assert Folder("/").location_of("one.json") == "/one.json"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OtpiqConfigurationError, match=f"{tmp_path}: this file system has no hard links"):
        Folder(str(tmp_path)).create("one.json", b"1")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(OtpiqConfigurationError, match=r"manifest.json: is a file, and must be a folder"):
        Ledger(f"{tmp_path}/manifest.json").read()


def test_what_cannot_be_read_is_not_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "one.json").mkdir()
    with pytest.raises(IsADirectoryError):
        Folder(str(tmp_path)).read("one.json")


@pytest.mark.parametrize(
    ("location", "split"),
    [
        ("/a/b/manifest.json", ("/a/b", "manifest.json")),
        ("s3://bucket/a/manifest.json", ("s3://bucket/a", "manifest.json")),
        ("manifest.json", (".", "manifest.json")),
        ("/manifest.json", ("/", "manifest.json")),
    ],
)
def test_a_location_is_split(location: str, split: tuple[str, str]) -> None:
    assert split_location(location) == split
