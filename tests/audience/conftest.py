import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_otpiq._audience.prepare import PreparedAudience, prepare
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq.exceptions import OtpiqValidationError

Run = Callable[..., "Prepared"]
Refused = Callable[..., str]
Logged = Callable[[], str]

FIELDS: dict[str, Any] = {
    "phone_number": "phone",
    "template_parameters": {"body": {"1": "name"}},
    "reference": "id",
    "max_rejected": 1.0,
}
GOOD = "id,phone,name\n1,9647701234567,Ali\n"
PERSON = {"id": 1, "phone": "9647701234567", "name": "Ali"}
SECRETS = ("770123456", "77012345678", "Ali", "Zaynab", "Basra", "example.com", "PASSWORD")


class Prepared:
    """An audience as it lies in its folder."""

    def __init__(self, prepared: PreparedAudience) -> None:
        self.audience = audience = prepared.audiences[None]
        self.counts = audience.manifest.counts.model_dump()
        self.parts = [audience.read_part(part) for part in audience.manifest.parts]
        self.recipients = [recipient for part in self.parts for recipient in part]
        self.references = [recipient.get("reference") for recipient in self.recipients]
        self.numbers = [recipient["phoneNumber"] for recipient in self.recipients]
        text = (audience.folder.read("excluded.csv") or b"").decode()
        self.excluded = list(csv.DictReader(io.StringIO(text)))
        self.rejected = [
            (row["row"], row["reference"], row["reason"]) for row in self.excluded if row["outcome"] == "rejected"
        ]
        self.content = [audience.folder.read(part.path) for part in audience.manifest.parts]

    @property
    def names(self) -> list[str]:
        return [recipient["templateParameters"]["body"]["1"] for recipient in self.recipients]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of temporary files, which is empty after the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "audience"


@pytest.fixture
def run(tmp_path: Path, output: Path) -> Callable[..., Prepared]:
    """Prepare what a file contains, or a callable returns; bytes of ``suppress`` are the content of a file, too."""

    def run(source: bytes | str | Any, name: str = "people.csv", **fields: Any) -> Prepared:
        if isinstance(source, bytes | str):
            path = tmp_path / name
            path.write_bytes(source.encode() if isinstance(source, str) else source)
            source = str(path)
        if isinstance(suppress := fields.get("suppress"), bytes):
            (tmp_path / "opt_outs.csv").write_bytes(suppress)
            fields["suppress"] = f"{tmp_path}/opt_outs.csv"
        fields = FIELDS | {"output": str(output)} | fields
        return Prepared(prepare(AudienceRequest.parse(source=source, **fields)))

    return run


@pytest.fixture
def refused(run: Callable[..., Prepared], tmp_path: Path) -> Callable[..., str]:
    """Return the error's text of what cannot be prepared, with ``…`` for the test's folder; it names no person."""

    return lambda *args, **fields: refusal(tmp_path, run, *args, **fields)


def refusal(tmp_path: Path, run: Callable[..., object], *args: Any, **fields: Any) -> str:
    with pytest.raises(OtpiqValidationError) as caught:
        run(*args, **fields)
    text = str(caught.value)
    assert all(error in text for error in caught.value.errors)
    assert [secret for secret in SECRETS if secret in text] == []
    return text.replace(str(tmp_path), "…")


def as_json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet(path: Path, rows: str) -> str:
    """Write rows, as SQL, to a Parquet file, and return its path."""
    import duckdb

    duckdb.execute(f"COPY (FROM (VALUES {rows}) AS rows(id, phone, name)) TO '{path}' (FORMAT parquet)")
    return str(path)
