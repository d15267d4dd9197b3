"""The files of a source: found by paths and globs, opened in any store, and unchanged while they are read."""

from __future__ import annotations

import gzip
import logging
import re
import sys
import zlib
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from airflow_provider_otpiq._audience.file_kind import HEAD_SIZE, is_blank, unreadable
from airflow_provider_otpiq._storage import find_store
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

_FORMATS = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet"}
_COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
_MAX_BLANK_BYTES = 4096  # a larger file is not empty
_MAX_LISTED = 20
_MAGIC = re.compile(r"[*?\[]")
# Each file system has some of these, by which a changed file differs.
_IDENTITY = ("size", "mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash", "content_md5")


class SourceFile(NamedTuple):
    """A file of a source."""

    filesystem: Any
    path: str
    is_of_glob: bool
    file_format: str
    compression: str | None

    def __str__(self) -> str:
        return self.path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file, decompressed; an error if it changes meanwhile, or is not a complete compressed file."""
        before = self._identity()
        with self.filesystem.open(self.path, "rb") as raw, _decompressed(raw, self.compression) as content:
            try:
                yield content
            except _damage(self.compression):
                error = f"{self.path}: is not a {self.compression} file, or not a complete one"
                raise unreadable(error, remedy="Write the file again, or correct its suffix.") from None
        if self._identity() != before:
            raise OSError(f"{self.path} was changed while it was read. A retry reads it again.")

    def is_empty(self) -> bool:
        """Return whether the file has nothing to read: no bytes, only a byte order mark, or only blank lines."""
        size: int | None = self.filesystem.info(self.path).get("size")  # None: this store does not return it
        if not size or size > _MAX_BLANK_BYTES:
            return size == 0
        with self.open() as content:
            return is_blank(content.read(HEAD_SIZE))

    def _identity(self) -> dict[str, Any]:
        self.filesystem.invalidate_cache()
        info = self.filesystem.info(self.path)
        return {name: info.get(name) for name in _IDENTITY}


def find_files(locations: Iterable[str], file_format: str | None) -> list[SourceFile]:
    """Find the files of paths and globs, in the order of the paths; those of a glob in the order of their names."""
    files = [file for location in locations for file in _files_of(location, file_format)]
    errors = [
        f"{file}: has an unknown suffix; expected .csv, .jsonl or .parquet, alone or with .gz or .zst"
        for file in files
        if not file.file_format
    ]
    if errors:
        raise unreadable(*errors, remedy="Set `file_format`.")
    return files


def without_empty(files: list[SourceFile], field: str) -> list[SourceFile]:
    """Remove the empty files of globs, which Spark writes; refuse an empty file of a path, or only empty files."""
    empty: list[SourceFile] = []
    filled: list[SourceFile] = []
    for file in files:
        (empty if file.is_empty() else filled).append(file)
    named = [f"{field}: {file} is empty; expected rows" for file in empty if not file.is_of_glob]
    if not filled and not named:
        named = [f"{field}: all {len(files)} files are empty; expected rows"]
    if named:
        raise unreadable(*named, remedy="Check what writes the file.")
    if empty:
        listed = list_some(list(map(str, empty)), _MAX_LISTED)
        log.info("%s: skipped %d empty files of %d: %s.", field, len(empty), len(files), listed)
    return filled


def _files_of(location: str, file_format: str | None) -> list[SourceFile]:
    filesystem, path = find_store(location)
    filesystem.invalidate_cache()
    paths = sorted(filesystem.glob(path)) if _MAGIC.search(path) and not filesystem.exists(path) else [path]
    files = [found for found in paths if filesystem.isfile(found)]
    is_of_glob = paths != [path]
    if not files:
        missing = "does not exist or is not a file; for a folder, set a glob such as …/*.csv"
        raise FileNotFoundError(f"{location} {'matches no file' if is_of_glob else missing}.")
    return [SourceFile(filesystem, found, is_of_glob, *_kind(found, file_format)) for found in files]


def _kind(path: str, file_format: str | None) -> tuple[str, str | None]:
    name, _, suffix = path.lower().rpartition(".")
    compression = _COMPRESSIONS.get(suffix)
    suffix = name.rpartition(".")[2] if compression else suffix
    return file_format or _FORMATS.get(suffix, ""), compression


def _decompressed(raw: BinaryIO, compression: str | None) -> AbstractContextManager[Any]:
    if compression is None:
        return nullcontext(raw)
    return gzip.open(raw) if compression == "gzip" else _zstd().open(raw)


def _zstd() -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        raise OtpiqConfigurationError(
            "backports.zstd is not installed; files of Zstandard need it."
            " Run: pip install 'airflow-provider-otpiq[audience]'"
        ) from None
    return zstd


def _damage(compression: str | None) -> tuple[type[Exception], ...]:
    return (EOFError, zlib.error, gzip.BadGzipFile, *([_zstd().ZstdError] if compression == "zstd" else []))
