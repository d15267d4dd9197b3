from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._audience.prepare import prepare
from airflow_provider_otpiq._audience.request import AudienceRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq._audience.manifest import Audience

FIELDS: dict[str, Any] = {
    "phone_number": "phone",
    "template_parameters": {"body": {"1": "name"}},
    "reference": "id",
    "max_rejected": 1.0,
}


class Prepared:
    """An audience as it lies in its folder."""

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
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


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "audience"


@pytest.fixture
def run(tmp_path: Path, output: Path) -> Callable[..., Prepared]:
    """Prepare what a file holds, or a callable returns."""

    def run(source: bytes | str | Any, name: str = "people.csv", **fields: Any) -> Prepared:
        if isinstance(source, bytes | str):
            path = tmp_path / name
            path.write_bytes(source.encode() if isinstance(source, str) else source)
            source = str(path)
        fields = FIELDS | {"output": str(output)} | fields
        return Prepared(prepare(AudienceRequest.parse(source=source, **fields)))

    return run


def as_json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
