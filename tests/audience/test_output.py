"""The files of an audience: edited ones are refused, and an audience that has campaigns does not change."""

import csv
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pendulum
import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.classify import Excluded
from airflow_provider_otpiq._audience.manifest import Audience, Counts, Manifest, Part
from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._ledger.records import Start
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.ledgers import use

TIME = pendulum.datetime(2026, 6, 1, tz="UTC")
Files = list[tuple[Part, bytes]]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path))


def files(first: int, parts: int = 1) -> Files:
    contents = [json.dumps([{"phoneNumber": f"96477{first + index:08}"}]).encode() for index in range(parts)]
    return [
        (Part(path=f"parts/{index:05}.json", recipients=1, sha256=sha256(content).hexdigest()), content)
        for index, content in enumerate(contents)
    ]


def manifest_of(written: Files) -> Manifest:
    counts = Counts(**{**dict.fromkeys(Counts.model_fields, 0), "rows": len(written), "recipients": len(written)})
    return Manifest(source=["f"], template_parameters={}, counts=counts, parts=[part for part, _ in written])


def publish(output: Output, written: Files) -> Manifest:
    output.write_parts(written, Progress())
    output.publish({None: manifest_of(written)})
    return manifest_of(written)


def test_other_rows_are_not_published_once_the_audience_is_in_use(output: Output, snapshot: SnapshotAssertion) -> None:
    old = publish(output, files(0))
    assert output.withdraw()
    use(output, old)  # by a create that read the manifest before
    with pytest.raises(OtpiqValidationError) as caught:
        publish(output, files(500))
    assert str(caught.value).replace(str(output.folder), "…") == snapshot
    assert output.folder.read("manifest.json") is None
    publish(output, files(0))
    assert output.folder.read("manifest.json") == old.to_json()


def test_a_manifest_is_put_back_if_campaigns_were_created_while_it_was_withdrawn(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = publish(output, files(0))
    delete = output.folder.delete

    def use_and_delete(name: str) -> None:
        use(output, old)
        delete(name)

    monkeypatch.setattr(output.folder, "delete", use_and_delete)
    assert not output.withdraw()
    assert output.folder.read("manifest.json") == old.to_json()


@pytest.mark.parametrize("lost", [True, False])
def test_only_the_rows_that_the_ledger_names_get_an_audience_back(output: Output, lost: bool) -> None:
    old = publish(output, files(0))
    use(output, old)
    other = manifest_of(files(500))
    if lost:
        output.folder.delete("manifest.json")
    else:
        output.folder.write("manifest.json", other.to_json())  # by an earlier release
    assert not output.withdraw()
    with pytest.raises(OtpiqValidationError, match="already has campaigns"):
        output.require_same({None: manifest_of(files(900))})
    output.require_same({None: old})
    assert output.restore(files(0), old) == 1
    assert output.folder.read("manifest.json") == old.to_json()


def test_the_rows_of_the_request_that_has_begun_get_it_back_whatever_was_saved_later(output: Output) -> None:
    old, other = publish(output, files(0)), manifest_of(files(500))
    ledger = use(output, old)
    begun = ledger.broadcast
    ledger.claim_start(Start(request=begun.id, requested=None, scheduled_for=TIME))
    late = begun.model_copy(update={"audience_checksum": other.checksum})  # by a create that was interrupted before
    output.folder.write("ledger/broadcast.json", late.to_json())
    output.folder.delete("manifest.json")
    output.require_same({None: old})
    with pytest.raises(OtpiqValidationError, match="already has campaigns"):
        output.require_same({None: other})


@pytest.mark.parametrize("parts", [1, 3])
def test_an_audience_of_another_number_of_parts_is_refused(output: Output, parts: int) -> None:
    use(output, publish(output, files(0, parts=2)))
    with pytest.raises(OtpiqValidationError) as caught:
        output.require_same({None: manifest_of(files(0, parts=parts))})
    changes = ["counts", f"parts: other recipients in 1 of {max(parts, 2)}"]
    assert [error.partition(": was {")[0] for error in caught.value.errors] == changes


# An edited manifest


@pytest.fixture
def manifest() -> dict[str, Any]:
    parts = [Part(path=f"parts/0000{index}.json", recipients=1000 - 500 * index, sha256=64 * "a") for index in (0, 1)]
    counts = Counts(rows=1500, recipients=1500, duplicates=0, suppressed=0, rejected=0)
    return Manifest(source=["f"], template_parameters={}, counts=counts, parts=parts).model_dump()


def read(output: Output, manifest: dict[str, Any]) -> Manifest:
    output.folder.write("manifest.json", json.dumps(manifest).encode())
    return Audience(output.location_of(None)).manifest


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("parts", 0, "path"), "../secret/parts/00000.json"),
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
    ],
)
def test_an_edited_manifest_is_refused(
    output: Output, manifest: dict[str, Any], where: tuple[Any, ...], value: Any
) -> None:
    assert [part.recipients for part in read(output, manifest).parts] == [1000, 500]
    *parents, field = where
    edited: Any = manifest
    for parent in parents:
        edited = edited[parent]
    edited[field] = value
    with pytest.raises(OtpiqValidationError, match="or was edited"):
        read(output, manifest)


def test_a_part_that_is_listed_twice_is_refused(
    output: Output, manifest: dict[str, Any], snapshot: SnapshotAssertion
) -> None:
    manifest["parts"][1] = manifest["parts"][0]
    manifest["counts"] |= {"recipients": 2000, "rows": 2000}
    with pytest.raises(OtpiqValidationError) as caught:
        read(output, manifest)
    assert str(caught.value).replace(str(output.folder), "…") == snapshot


# References in excluded.csv


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-5", "-5"),
        ("C-1", "C-1"),
        ("0770 123 4567", "0770•••4567"),
    ],
)
def test_a_reference_is_neither_a_formula_nor_a_phone_number(output: Output, reference: str, written: str) -> None:
    output.write_excluded([Excluded(2, reference, "duplicate", "", 1, reference)])
    _, row = csv.reader((output.folder.read("excluded.csv") or b"").decode().splitlines())
    assert row == ["2", written, "duplicate", "", "1", written]
