"""A folder of objects, local or in an object store: each is read whole, written whole, or created exclusively."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.exceptions import OtpiqConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)


def split_location(location: str) -> tuple[str, str]:
    """Split a local path or URL of an object into its folder and its name."""
    folder, slash, name = location.rstrip("/").rpartition("/")
    return folder or slash or ".", name


def absolute(location: str) -> str:
    """Return a location that does not depend on the working directory."""
    return location if "://" in location else str(Path(location).absolute())


def find_store(location: str) -> tuple[Any, str]:
    """
    Find the file system of a local path or a URL, and what it calls the place.

    :raises OtpiqConfigurationError: if nothing here reaches it.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(absolute(location))  # a relative path is another one to Airflow 2
        store = path.fs
    except ValueError as error:
        raise OtpiqConfigurationError(
            f"{location}: cannot be reached ({error}). Install the Airflow provider of that store."
        ) from None
    return store, store._strip_protocol(path.path)


def staged(location: str) -> AbstractContextManager[Path]:
    """Yield an empty local file, which becomes the object where the block ends without an error."""
    folder, name = split_location(location)
    return Folder(folder).staged(name)


def require_writable(location: str) -> None:
    """
    Make sure, as far as it can be told before, that an object can be written.

    :raises OtpiqConfigurationError: if nothing here reaches it, or a local folder does not allow it.
    """
    folder, name = split_location(location)
    Folder(folder).require_writable(name)


class Folder:
    """
    A folder that anything reaches which Airflow's ``ObjectStoragePath`` does.

    An object is never seen half-written: object stores write it whole, and locally it is renamed into place.

    :param location: a local path or a URL; ``s3://conn_id@bucket/key`` names an Airflow connection.
    """

    def __init__(self, location: str) -> None:
        self.location = str(location).rstrip("/") or "/"
        self._fs, self._path = find_store(self.location)
        self._is_local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else [self._fs.protocol])

    def __str__(self) -> str:
        return self.location

    def location_of(self, name: str) -> str:
        """Return the local path or URL of one of its objects."""
        return f"{self.location.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Read an object; None if there is no such object."""
        return self.read_all([name]).get(name)

    def read_all(self, names: Iterable[str]) -> dict[str, bytes]:
        """
        Read those objects that exist, at once where the store can.

        :raises OSError: if one of them is there, or may be, and cannot be read.
        """
        names = list(names)
        self._fs.invalidate_cache()  # a listing that s3fs keeps hides what another process has written since
        # Unlike `cat`, it takes a bracket in a path for a bracket, and asks an object store once for each.
        found = self._fs.cat_ranges(list(map(self._full_path, names)), None, None, on_error="return")
        contents = dict(zip(names, found, strict=True))
        for content in contents.values():
            if isinstance(content, NotADirectoryError) and Path(self._path).is_file():
                raise OtpiqConfigurationError(f"{self.location}: is a file, and must be a folder.")
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise content
        return {name: content for name, content in contents.items() if not isinstance(content, FileNotFoundError)}

    def write(self, name: str, content: bytes) -> None:
        """Write an object, in the place of one that is there."""
        path = self._full_path(name)
        if not self._is_local:
            self._fs.pipe_file(path, content)
            return
        with _written_aside(path, content) as aside:
            os.replace(aside, path)

    def require_writable(self, name: str) -> None:
        """
        Make sure that a local file can be written there; of an object store, only writing tells.

        :raises OtpiqConfigurationError: if it cannot.
        """
        if not self._is_local:
            return
        path = Path(self._full_path(name))
        above = next(folder for folder in path.parents if folder.exists())
        if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
            what = f"{path} is a folder" if path.is_dir() else f"{above} is no folder that can be written to"
            raise OtpiqConfigurationError(f"{self.location_of(name)}: {what}. Set another path, or fix its rights.")

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Yield an empty local file, which becomes the object where the block ends without an error."""
        path = self._full_path(name)
        if self._is_local:
            with _written_aside(path, b"") as aside:
                yield Path(aside)
                os.replace(aside, path)
            return
        with TemporaryDirectory(prefix="otpiq-") as folder:  # which nobody else can enter
            (file := Path(folder, "staged")).touch()
            yield file
            self._fs.put_file(str(file), path)

    def list(self, name: str) -> list[str]:
        """List the names of the objects in a folder of this one."""
        path = self._full_path(name)
        self._fs.invalidate_cache()
        try:
            return [str(each).rstrip("/").rpartition("/")[2] for each in self._fs.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def contains(self, path: str) -> bool:
        """Tell whether a path of the same store lies in this folder, however both are written."""
        if self._is_local:
            return Path(path).resolve().is_relative_to(Path(self._path).resolve())
        return path.startswith(self._full_path(""))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object only if there is none yet, and tell whether it was written: of several, one succeeds."""
        path = self._full_path(name)
        try:
            if not self._is_local:
                self._fs.pipe_file(path, content, mode="create")
                return True
            with _written_aside(path, content) as aside:
                os.link(aside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            raise OtpiqConfigurationError(
                f"{self.location}: this file system has no hard links ({error.strerror}), by which an object is created"
                " exclusively, and that keeps two processes apart. Set a folder on a disk that has them, or in an"
                " object store, such as s3://…"
            ) from None
        return True

    def require_exclusive_creation(self, name: str) -> None:
        """
        Make sure that an object which is there cannot be created again.

        :raises OtpiqConfigurationError: if it can: two processes would then not see each other.
        """
        content = self.read(name)
        if content is not None and self.create(name, content):
            raise OtpiqConfigurationError(
                f"{self.location}: this store does not refuse to create an object that exists, which is what keeps two"
                " processes apart. Set a folder in another store, such as S3, Google Cloud Storage or a local disk."
            )

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        try:
            self._fs.rm_file(self._full_path(name))
        except FileNotFoundError:
            return

    def _full_path(self, name: str) -> str:
        return f"{self._path}/{name}"


@contextmanager
def _written_aside(path: str, content: bytes) -> Iterator[str]:
    """Write a local file under a name of its own beside the path where it belongs."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
        aside = Path(file.name)
    try:
        aside.write_bytes(content)  # the disk may be full
        yield file.name
    finally:
        aside.unlink(missing_ok=True)
