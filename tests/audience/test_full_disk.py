"""A full or faulty disk below DuckDB: an error, and never an audience without some of its recipients."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError
from tests.audience.conftest import Run

ROWS = 60_000
TOO_SMALL = "32MB"
"""Less memory than the rows need: DuckDB writes some of them to its temporary folder."""


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse to write beyond so many bytes of a file, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def repetitive_file(tmp_path: Path) -> str:
    """Write a Parquet file that is far smaller than the table that DuckDB makes of it."""
    import duckdb

    path = str(tmp_path / "people.parquet")
    rows = "SELECT range AS id, 9647700000000 + range AS phone, repeat('Zaynab', 100) AS name FROM range($1)"
    duckdb.execute(f"COPY ({rows}) TO $2 (FORMAT parquet)", [ROWS, path])
    return path


@pytest.mark.slow
def test_the_rows_can_be_prepared(run: Run, repetitive_file: str) -> None:
    assert run([repetitive_file], memory_limit="1GB").counts["recipients"] == ROWS


@pytest.mark.parametrize("size", [600_000, 4_000_000])
def test_a_disk_that_is_full_below_duckdb_is_an_error(
    run: Run, output: Path, temporary_folder: Path, repetitive_file: str, size: int
) -> None:
    with files_of_at_most(size), pytest.raises(OSError, match=f"DuckDB cannot write to {temporary_folder}"):
        run([repetitive_file], memory_limit=TOO_SMALL)
    assert not output.exists()


def test_too_little_memory_is_an_error(run: Run, temporary_folder: Path) -> None:
    rows = ({"id": index, "phone": f"96477{index:08}", "name": "Zaynab"} for index in range(20_000))
    with pytest.raises(OtpiqValidationError) as caught:
        run(lambda: rows, memory_limit="1MB")
    assert caught.value.errors == (f"memory_limit: 1MB is too little, or {temporary_folder} is full",)


@pytest.mark.parametrize(("kept", "added"), [(0, ""), (None, "x\n")], ids=["some are lost", "one is added"])
def test_rows_that_duckdb_does_not_read_as_they_were_written_are_an_error(
    run: Run, output: Path, temporary_folder: Path, kept: int | None, added: str
) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for index in range(3000):
            yield {"id": index, "phone": f"96477{index:08}", "name": "Zaynab"}
        (written,) = temporary_folder.glob("*/rows0.csv")
        with written.open("r+") as file:  # a faulty disk, of which the writer notices nothing
            file.truncate(kept)
            file.seek(0)
            file.write(added)

    with pytest.raises(OtpiqError, match="DuckDB read another number of rows than were written"):
        run(rows)
    assert not output.exists()
