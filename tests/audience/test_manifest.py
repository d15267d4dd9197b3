"""The manifest of an audience: what somebody has edited is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.audience.conftest import Prepared

PEOPLE = [{"id": number, "phone": f"96477{number:08}", "name": "Ali"} for number in range(1500)]


@pytest.fixture
def manifest(run: Callable[..., Prepared]) -> dict[str, Any]:
    return dict(json.loads(Path(run(lambda: PEOPLE).audience.location).read_text()))


def test_an_unedited_manifest_is_read(manifest: dict[str, Any], output: Path) -> None:
    write(output, manifest)
    assert [part.recipients for part in Audience(f"{output}/manifest.json").manifest.parts] == [1000, 500]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("parts", 0, "path"), "../secret/parts/00000.json"),
        (("parts", 0, "path"), "/etc/parts/00000.json"),
        (("parts", 0, "path"), "parts/../../secret/00000.json"),
        (("parts", 0, "path"), "parts/0.json"),
        (("parts", 0, "path"), "parts/00000.json\n"),
        (("parts", 0, "path"), "parts/٠٠٠٠٠.json"),
        (("parts", 0, "path"), "parts/00001.json"),  # the name of the other one
        (("parts", 0, "recipients"), 999),
        (("parts", 0, "recipients"), 0),
        (("parts", 1, "recipients"), 1001),
        (("parts", 0, "sha256"), "x"),
        (("counts", "recipients"), 1499),
        (("counts", "rows"), 1501),
        (("counts", "rejected"), -1),
        (("counts", "duplicates"), 1),
    ],
)
def test_an_edited_manifest_is_refused(
    manifest: dict[str, Any], output: Path, where: tuple[Any, ...], value: Any
) -> None:
    *parents, field = where
    edited: Any = manifest
    for parent in parents:
        edited = edited[parent]
    edited[field] = value
    write(output, manifest)
    with pytest.raises(OtpiqValidationError, match=r"is not a manifest of version 1 of an audience, or was edited"):
        Audience(f"{output}/manifest.json")


def test_a_part_that_is_listed_twice_is_refused(manifest: dict[str, Any], output: Path) -> None:
    manifest["parts"][1] = manifest["parts"][0]
    manifest["counts"] |= {"recipients": 2000, "rows": 2000}
    write(output, manifest)
    with pytest.raises(OtpiqValidationError, match="or was edited"):
        Audience(f"{output}/manifest.json")


def write(output: Path, manifest: dict[str, Any]) -> None:
    (output / "manifest.json").write_text(json.dumps(manifest))
