"""A folder of objects: local here, and as in an object store by fsspec's own in memory."""

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwuid
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_otpiq._audience.manifest import Part
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._ledger.records import Broadcast, Campaign
from airflow_provider_otpiq._storage import Folder, split_location
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from tests.audience.test_full_disk import files_of_at_most
from tests.fakes import PHONE_NUMBER_ID, TEMPLATE_ID

BROADCAST = Broadcast(
    request={}, audience="", audience_checksum="", template_id=TEMPLATE_ID, phone_number_id=PHONE_NUMBER_ID
)


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
    with pytest.raises(IsADirectoryError):
        folder.read("two.json")  # which is not taken for missing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o000, 0o640)])
def test_a_group_reads_a_local_file_if_the_umask_allows_it_and_others_never_do(
    tmp_path: Path, umask: int, mode: int
) -> None:
    folder, before = Folder(str(tmp_path)), os.umask(umask)
    try:
        folder.write("written.json", b"1")
        folder.create("created.json", b"2")
        with folder.staged("staged.csv") as path:
            path.write_bytes(b"3")
        with folder.staged("moved.csv") as path:  # as a file of DuckDB is
            (tmp_path / "elsewhere").write_bytes(b"4")
            (tmp_path / "elsewhere").chmod(0o666)
            (tmp_path / "elsewhere").replace(path)
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("written.json", "created.json", "staged.csv", "moved.csv"), mode
    )


@contextmanager
def _as_another_user() -> Iterator[None]:
    """Be a user without the rights of the tests', if they run as root, who has all."""
    before = os.geteuid()
    if before:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def foreign() -> Iterator[Path]:
    """Make a folder below one that everybody can enter, whose files are nobody else's to read or write."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)  # noqa: S103
        folder = Path(place) / "ledger"
        folder.mkdir()
        (folder / "one.json").write_text("1")
        (folder / "one.json").chmod(0)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


ACTIONS: dict[str, Callable[[Folder], object]] = {
    "read": lambda folder: folder.read("one.json"),
    "write": lambda folder: folder.write("one.json", b"2"),
    "create": lambda folder: folder.create("two.json", b"2"),
    "staged": lambda folder: folder.staged("one.csv").__enter__(),
    "delete": lambda folder: folder.delete("one.json"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_of_another_user_names_its_owner_and_what_to_do(foreign: Path, action: str) -> None:
    folder = Folder(str(foreign))
    with pytest.raises(PermissionError, match="has no access to") as caught, _as_another_user():
        ACTIONS[action](folder)
    place = foreign / "one.json" if action in ("read", "delete") else foreign
    mode = "0000" if place != foreign else "0555"
    owner = getpwuid(os.getuid()).pw_name
    assert f"{place} belongs to user {owner!r} and group " in str(caught.value)
    assert f"with mode {mode}. Run all tasks of a broadcast as the same user" in str(caught.value)
    assert caught.value.errno == errno.EACCES


@pytest.mark.parametrize("write", [Folder.write, Folder.create])
def test_a_full_disk_leaves_nothing(tmp_path: Path, write: Any) -> None:
    with files_of_at_most(1000), pytest.raises(OSError, match="large"):
        write(Folder(str(tmp_path)), "x", b"x" * 2000)
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_exclusive_creation_is_refused() -> None:
    folder = Folder("memory://lax@bucket/ledger")
    folder.write("one.json", b"1")
    for begin in (
        lambda: folder.require_exclusive_creation("one.json"),
        lambda: Ledger.begin("memory://lax@bucket/ledger", BROADCAST),
    ):
        with pytest.raises(OtpiqConfigurationError, match="does not support exclusive creation"):
            begin()


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
    with pytest.raises(OtpiqConfigurationError, match=f"{tmp_path}: this file system does not support hard links"):
        Folder(str(tmp_path)).create("one.json", b"1")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(OtpiqConfigurationError, match=r"manifest.json: is a file; expected a folder"):
        Ledger.open(f"{tmp_path}/manifest.json")


def test_an_object_of_a_ledger_that_exists_but_cannot_be_read_is_not_claimed(tmp_path: Path) -> None:
    campaigns = tmp_path / BROADCAST.id / "campaigns"
    campaigns.mkdir(parents=True)
    (campaigns / "00000.json").symlink_to("nowhere")
    ledger, part = Ledger.begin(str(tmp_path), BROADCAST), Part(path="parts/00000.json", recipients=1, sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match=r"campaigns/00000.json: exists, but cannot be read"):
        ledger.claim(part, Campaign(campaign_id=TEMPLATE_ID))


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
