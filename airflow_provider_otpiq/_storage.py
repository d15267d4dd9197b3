"""A folder of objects, local or in an object store, which are read and written whole or created exclusively."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_otpiq._redaction import hide_password
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_MODE = 0o640
"""The mode of a local file before the umask. It contains personal data, so other users never read it."""
_MISSING = (FileNotFoundError, NotADirectoryError)
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
    Return the file system of a local path or a URL, and the path in it.

    :raises OtpiqConfigurationError: if no installed provider reaches it, or it contains a password.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if (shown := hide_password(location)) != location:  # to Airflow, it would be the ID of a connection
        raise OtpiqConfigurationError(
            f"{shown}: contains a password; expected the ID of an Airflow connection before the @, as in"
            " s3://conn_id@bucket/key. Save the password in a connection."
        )
    try:
        path = ObjectStoragePath(absolute(location))  # Airflow 2 resolves a relative path to another one
        store = path.fs
    except ValueError as error:
        raise OtpiqConfigurationError(
            f"{location}: cannot be reached ({error}). Install the Airflow provider of that store."
        ) from None
    return store, store._strip_protocol(path.path)


def find_object(location: str) -> tuple[Folder, str]:
    """Return the folder of the local path or URL of an object, and the object's name in it."""
    folder, name = split_location(location)
    return Folder(folder), name


class Folder:
    """
    A folder that Airflow's ``ObjectStoragePath`` reaches.

    Readers never see half an object: object stores write it whole, and a local file is renamed into place.

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
        Read the objects that exist, at once if the store can.

        :raises OSError: if one of them exists, or may exist, and cannot be read.
        """
        names = list(names)
        self._fs.invalidate_cache()  # a cached listing of s3fs lacks what another process has written since
        # Unlike `cat`, it takes a bracket in a path literally, and sends one request per object.
        found = self._fs.cat_ranges(list(map(self._full_path, names)), None, None, on_error="return")
        contents = dict(zip(names, found, strict=True))
        for content in contents.values():
            if isinstance(content, NotADirectoryError) and Path(self._path).is_file():
                raise OtpiqConfigurationError(f"{self.location}: is a file; expected a folder. Set another path.")
            if isinstance(content, PermissionError) and self._is_local:
                raise _permission_error(content)
            if isinstance(content, Exception) and not isinstance(content, _MISSING):
                raise content
        return {name: content for name, content in contents.items() if not isinstance(content, _MISSING)}

    def write(self, name: str, content: bytes) -> None:
        """Write an object, instead of an existing one."""
        path = self._full_path(name)
        if not self._is_local:
            self._fs.pipe_file(path, content)
            return
        with _written_aside(path, content) as aside:
            _replace(aside, path)

    def require_writable(self, name: str) -> None:
        """
        Check that a local file can be written. In an object store, only writing shows that.

        :raises OtpiqConfigurationError: if it cannot.
        """
        if not self._is_local:
            return
        path = Path(self._full_path(name))
        above = next(folder for folder in path.parents if folder.exists())
        if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
            problem = f"{path} is a folder" if path.is_dir() else f"{above} is not a writable folder"
            raise OtpiqConfigurationError(
                f"{self.location_of(name)}: {problem}. Set another path, or change its permissions."
            )

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """Yield an empty local file, which becomes the object if the block ends without an error."""
        path = self._full_path(name)
        if self._is_local:
            with _written_aside(path, b"") as aside:
                mode = aside.stat().st_mode
                yield aside
                aside.chmod(mode)  # a file may have been moved there
                _replace(aside, path)
            return
        with TemporaryDirectory(prefix="otpiq-") as folder:  # only this user can enter it
            (file := Path(folder, "staged")).touch()
            yield file
            self._fs.put_file(str(file), path)

    def list(self, name: str) -> list[str]:
        """List the names of the objects in a folder of this one."""
        path = self._full_path(name)
        self._fs.invalidate_cache()
        try:
            with _naming_the_owner():
                return [str(found).rstrip("/").rpartition("/")[2] for found in self._fs.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def contains(self, path: str) -> bool:
        """Return whether a path of the same store is in this folder, however both are spelled."""
        if self._is_local:
            return Path(path).resolve().is_relative_to(Path(self._path).resolve())
        return path.startswith(self._full_path(""))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object only if it does not exist, and return whether it was written: of several, one succeeds."""
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
                f"{self.location}: this file system does not support hard links ({error.strerror}), which keep two"
                " processes from doing the same work. Set a folder on a file system that supports them, or in an object"
                " store, such as s3://…"
            ) from None
        return True

    def require_exclusive_creation(self, name: str) -> None:
        """
        Check that the store refuses to create an existing object again.

        :raises OtpiqConfigurationError: if it does not: two processes could then do the same work.
        """
        content = self.read(name)
        if content is not None and self.create(name, content):
            raise OtpiqConfigurationError(
                f"{self.location}: this store does not support exclusive creation, which keeps two processes from doing"
                " the same work. Set a folder in another store, such as S3, Google Cloud Storage or a local disk."
            )

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
        try:
            with _naming_the_owner():
                self._fs.rm_file(self._full_path(name))
        except FileNotFoundError:
            return

    def _full_path(self, name: str) -> str:
        return f"{self._path}/{name}"


@contextmanager
def _written_aside(path: str, content: bytes) -> Iterator[Path]:
    """Write a local file under a unique name beside its path."""
    folder = Path(path).parent
    aside = folder / f".{uuid4().hex}.part"
    with _naming_the_owner():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _replace(aside: Path, path: str) -> None:
    with _naming_the_owner():
        aside.replace(path)


@contextmanager
def _naming_the_owner() -> Iterator[None]:
    """Add to a PermissionError who owns the local file or folder."""
    try:
        yield
    except PermissionError as error:
        raise _permission_error(error) from None


def _permission_error(error: PermissionError) -> PermissionError:
    """Return an error that names the owner of what cannot be read or written, and the fix."""
    path, found = _first_visible(Path(os.fsdecode(error.filename or "/")))
    owner = f"user {_name(getpwuid, found.st_uid)} and group {_name(getgrgid, found.st_gid)}"
    return PermissionError(
        error.errno,
        f"user {_name(getpwuid, os.geteuid())} has no access to {error.filename}: {path} belongs to {owner}, with"
        f" mode {stat.S_IMODE(found.st_mode):04o}."
        " Run all tasks of a broadcast as the same user; or as users of one group that owns the folder, with umask 007"
        " for all of them (027 if the others only read)",
    )


def _first_visible(path: Path) -> tuple[Path, os.stat_result]:
    """Return the path, or the first folder above it, that this user can see."""
    for visible in (path, *path.parents):
        with suppress(OSError):
            return visible, visible.stat()
    return Path("/"), Path("/").stat()


def _name(look_up: Callable[[int], Sequence[Any]], number: int) -> str:
    """Return the quoted name of a user or a group, or its number."""
    try:
        return f"{look_up(number)[0]!r}"
    except KeyError:  # a container may not list its users
        return str(number)
