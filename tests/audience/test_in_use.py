"""An audience that has campaigns: it stays as it is, whatever is prepared in its place at the same moment."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pendulum
import pytest

from airflow_provider_otpiq._audience.manifest import Counts, Manifest, Part
from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._ledger import Start
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.ledgers import use

if TYPE_CHECKING:
    from pathlib import Path

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
    output.publish(manifest_of(written))
    return manifest_of(written)


def test_other_rows_are_not_published_once_the_audience_is_in_use(output: Output) -> None:
    old = publish(output, files(0))
    assert output.withdraw()
    use(output, old)  # by a create that read the manifest before
    with pytest.raises(
        OtpiqValidationError, match=r"manifest\.json is missing, and the campaigns were created from an"
    ):
        publish(output, files(500))
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
    with pytest.raises(OtpiqValidationError, match="has campaigns already"):
        output.require_same(manifest_of(files(900)))
    output.require_same(old)
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
    output.require_same(old)
    with pytest.raises(OtpiqValidationError, match="has campaigns already"):
        output.require_same(other)


@pytest.mark.parametrize("parts", [1, 3])
def test_an_audience_of_another_number_of_parts_is_refused(output: Output, parts: int) -> None:
    use(output, publish(output, files(0, parts=2)))
    with pytest.raises(OtpiqValidationError, match=r"counts: .*\n.*parts: 1 of [23] have other recipients"):
        output.require_same(manifest_of(files(0, parts=parts)))
