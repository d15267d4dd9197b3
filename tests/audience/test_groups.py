"""An audience that is divided into groups: who is in which, the names of folders, and preparing it again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.manifest import Audience, Manifest, claim_division
from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._audience.prepare import PreparedAudience, prepare
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import FIELDS

Divide = Callable[..., PreparedAudience]
Fail = Callable[..., OtpiqValidationError]

pytestmark = pytest.mark.slow

Person = tuple[int, str]
TWO_GROUPS: list[Person] = [(1, "ar"), (2, "ku"), (3, "ar"), (4, "ku")]


def rows_of(people: list[Person]) -> list[dict[str, Any]]:
    return [
        {"id": row, "phone": f"96477{person:08}", "name": "Ali", "language": group}
        for row, (person, group) in enumerate(people, 1)
    ]


def request_of(people: list[Person], output: Path, **fields: Any) -> AudienceRequest:
    rows = rows_of(people)
    return AudienceRequest.parse(source=lambda: rows, **{**FIELDS, "output": output, **fields})


@pytest.fixture
def divide(output: Path) -> Divide:
    """Prepare the people of groups, each a number and a group."""
    defaults = {"output": output, "group_by": "language"}
    return lambda people, **fields: prepare(request_of(people, **{**defaults, **fields}))


@pytest.fixture
def fail(divide: Divide) -> Fail:
    def fail(people: list[Person], **fields: Any) -> OtpiqValidationError:
        with pytest.raises(OtpiqValidationError) as caught:
            divide(people, **fields)
        return caught.value

    return fail


def ids(audience: Audience) -> list[str]:
    return [each["reference"] for part in audience.manifest.parts for each in audience.read_part(part)]


def members(grouped: PreparedAudience) -> dict[str | None, list[str]]:
    return {group: ids(audience) for group, audience in grouped.audiences.items()}


def members_of(output: Path) -> dict[str, list[str]]:
    return {path.parent.name: ids(Audience(str(path))) for path in output.glob("*/manifest.json") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def use(audience: Audience) -> None:
    """Do what a create does before the first campaign of a group."""
    claim_division(audience, f"{audience.folder}/ledger")


def test_each_person_is_in_the_group_of_the_row_that_is_kept(divide: Divide, output: Path) -> None:
    people = [(1, "ku"), (2, "ar"), (1, "ar"), (3, "ar"), (3, "ar"), (4, "ar"), (5, "tr"), (-1, "ar"), (6, "")]
    grouped = divide(people, suppress=lambda: [{"phone": "9647700000004"}, {"phone": "9647700000005"}])
    assert members(grouped) == {"ar": ["2", "4"], "ku": ["1"]}
    counts = {group: audience.manifest.counts.model_dump() for group, audience in grouped.audiences.items()}
    assert counts["ar"] == {"rows": 6, "recipients": 2, "duplicates": 2, "suppressed": 1, "rejected": 1}
    assert counts["ku"] == {"rows": 1, "recipients": 1, "duplicates": 0, "suppressed": 0, "rejected": 0}
    total = {"rows": 9, "recipients": 3, "duplicates": 2, "suppressed": 2, "rejected": 2}
    assert grouped.counts.model_dump() == total
    excluded = (output / "excluded.csv").read_text().splitlines()
    assert len(excluded) == 1 + 6
    assert excluded[1] == "3,3,duplicate,,1,1"
    assert excluded[-1] == "9,9,rejected,column 'language' is required,,"
    assert sorted(contents(output)) == [
        "ar/manifest.json", "ar/parts/00000.json", "excluded.csv", "ku/manifest.json", "ku/parts/00000.json",
    ]  # fmt: skip


def test_a_group_has_parts_of_its_own_people_in_the_order_of_their_rows(divide: Divide) -> None:
    people = [(number, ("ar", "ku", "en")[number % 3]) for number in range(1, 4501)]
    grouped = divide(people)
    parts = {group: audience.manifest.parts for group, audience in grouped.audiences.items()}
    assert {group: [part.recipients for part in found] for group, found in parts.items()} == {
        group: [1000, 500] for group in ("ar", "en", "ku")
    }
    assert [part.path for part in parts["ku"]] == ["parts/00000.json", "parts/00001.json"]
    assert members(grouped) == {
        group: [str(number) for number, of in people if of == group] for group in ("ar", "en", "ku")
    }


NAMES = {
    ".": "%2E",
    "..": "%2E%2E",
    ".hidden": "%2Ehidden",
    "../../etc": "%2E%2E%2F%2E%2E%2Fetc",
    "/etc": "%2Fetc",
    "~": "%7E",
    "%2E": "%252E",
    "a b\\c": "a%20b%5Cc",
    "a?#[*]{{ x }}": "a%3F%23%5B%2A%5D%7B%7B%20x%20%7D%7D",
    "كوردی": "%D9%83%D9%88%D8%B1%D8%AF%DB%8C",
    "manifest.json": "manifest%2Ejson",
    "excluded.csv": "excluded%2Ecsv",
    "in_use.json": "in_use%2Ejson",
    "mapped_task.json": "mapped_task%2Ejson",
    "parts": "%70arts",
    "%70arts": "%2570arts",
    "Ledger": "%4Cedger",
    "north-east_2": "north-east_2",
    "2026-11-28": "2026-11-28",
    "x" * 200: "x" * 200,
}


def test_the_name_of_a_groups_folder_is_safe(divide: Divide, output: Path) -> None:
    grouped = divide([(number, name) for number, name in enumerate(NAMES)])
    found = {group: Path(audience.location) for group, audience in grouped.audiences.items()}
    assert list(found) == sorted(NAMES)
    assert {group: path.parent.name for group, path in found.items()} == NAMES
    assert {path.parent.parent for path in found.values()} == {output}
    assert sum(map(len, members(grouped).values())) == len(NAMES)
    assert divide([(number, name) for number, name in enumerate(NAMES)]).audiences.keys() == NAMES.keys()


def test_the_whitespace_of_groups_is_cleaned_and_null_values_are_no_group(divide: Divide) -> None:
    people = [(1, " ar\n"), (2, "ar"), (3, "\tNULL "), (4, "\u200f"), (5, "ar\u00a0 x")]
    assert members(divide(people)) == {"ar": ["1", "2"], "ar x": ["5"]}
    assert members(divide(people, null_values=[])) == {"NULL": ["3"], "ar": ["1", "2"], "ar x": ["5"]}


def test_a_hundred_groups_are_the_most(divide: Divide, fail: Fail, output: Path, snapshot: SnapshotAssertion) -> None:
    hundred = [(number, f"C-{number}") for number in range(100)]
    assert len(divide(hundred).audiences) == 100
    before = contents(output)
    sizes = {"0770 123 4567": 11, "ar": 10, "Zaynab": 9}  # the last may be personal data, as the hundred
    names = [name for name, size in sizes.items() for _ in range(size)]
    assert str(fail([*hundred, *enumerate(names, start=1000)])) == snapshot
    assert "has 101 values, each with fewer than 10 recipients" in str(fail([*hundred, (101, "Zaynab")]))
    assert contents(output) == before


@pytest.mark.parametrize(
    "groups", [["ar", "770 123 45-6", "+٩٦٤٧٧٠١٢٣٤٥٦٧"], ["ar", "Basra", "basra"], ["ar", "ع" * 40], ["x" * 201]]
)
def test_values_that_cannot_name_a_group_are_an_error(
    fail: Fail, output: Path, groups: list[str], snapshot: SnapshotAssertion
) -> None:
    error = fail(list(enumerate(groups)))
    assert str(error) == snapshot
    assert not re.search("123|٤٥٦", str(error))
    assert not output.exists()


def test_a_column_of_phone_numbers_is_one_error(fail: Fail) -> None:
    assert len(fail([(number, f"07701234{number}") for number in range(100, 150)]).errors) == 1


def test_a_missing_column_is_an_error(fail: Fail) -> None:
    assert "has no column 'segment'" in str(fail(TWO_GROUPS, group_by="segment"))


def test_the_same_input_gives_the_same_bytes(divide: Divide, output: Path) -> None:
    people = [(number * 7 % 5000, f"g{number % 7}") for number in range(5000)]
    divide(people)
    before = contents(output)
    divide(people)
    assert contents(output) == before


# Again, before there are campaigns


def test_other_groups_replace_the_earlier_ones(divide: Divide, output: Path) -> None:
    divide(TWO_GROUPS)
    prepare(request_of(TWO_GROUPS, output / "nested"))  # an audience of somebody else
    (output / "README").write_text("mine")
    assert members(divide([(1, "en"), (2, "ar")])) == {"ar": ["2"], "en": ["1"]}
    assert sorted(contents(output)) == [
        "README", "ar/manifest.json", "ar/parts/00000.json", "en/manifest.json", "en/parts/00000.json", "excluded.csv",
        "nested/excluded.csv", "nested/manifest.json", "nested/parts/00000.json",
    ]  # fmt: skip


def test_groups_replace_an_audience_that_was_not_divided(divide: Divide, output: Path) -> None:
    prepare(request_of(TWO_GROUPS, output))
    divide(TWO_GROUPS[:1])
    assert sorted(contents(output)) == ["ar/manifest.json", "ar/parts/00000.json", "excluded.csv"]


MOVED: list[Person] = [(2, "ar"), (1, "ku")]
"""Two people have changed their groups."""


@pytest.fixture
def half_prepared(divide: Divide, output: Path, tmp_path: Path) -> PreparedAudience:
    """Leave what a task leaves that dies after the first of two manifests; return what the task before it prepared."""
    before = divide(TWO_GROUPS)
    divide(MOVED, output=tmp_path / "moved")
    assert Output(str(output), has_groups=True).withdraw()
    shutil.copytree(tmp_path / "moved" / "ar", output / "ar", dirs_exist_ok=True)
    return before


@pytest.mark.usefixtures("half_prepared")
@pytest.mark.parametrize("again", [TWO_GROUPS, MOVED, [(1, "ku"), (2, "ku"), (3, "ar")]])
def test_a_later_try_completes_groups_that_are_half_prepared(divide: Divide, output: Path, again: list[Person]) -> None:
    assert members_of(output) == {"ar": ["1"]}
    expected = {group: [str(row) for row, (_, of) in enumerate(again, 1) if of == group] for group in ("ar", "ku")}
    assert members(divide(again)) == expected


def test_once_a_half_prepared_group_has_campaigns_only_the_same_rows_complete_it(
    divide: Divide, fail: Fail, output: Path, half_prepared: PreparedAudience
) -> None:
    use(Audience(f"{output}/ar/manifest.json"))
    for audience in half_prepared.audiences.values():
        with pytest.raises(OtpiqValidationError, match="is not of the groups"):
            use(audience)
    fail(TWO_GROUPS)
    assert members_of(output) == {"ar": ["1"]}
    assert members(divide(MOVED)) == {"ar": ["1"], "ku": ["2"]}
    for group in ("ar", "ku"):
        use(Audience(f"{output}/{group}/manifest.json"))


# Again, once a group has campaigns


@pytest.mark.parametrize("used", ["ar", "ku"])
def test_the_same_rows_change_nothing_and_restore_what_is_lost(divide: Divide, output: Path, used: str) -> None:
    use(divide(TWO_GROUPS).audiences[used])
    before = contents(output)
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.json")}
    divide(TWO_GROUPS)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.json")} == times
    (output / "ar" / "parts" / "00000.json").unlink()
    (output / "ku" / "manifest.json").unlink()
    assert members(divide(TWO_GROUPS)) == {"ar": ["1", "3"], "ku": ["2", "4"]}
    assert contents(output) == before


@pytest.mark.parametrize(
    "people",
    [
        [*TWO_GROUPS, (5, "ku")],
        [*TWO_GROUPS, (5, "en")],
        TWO_GROUPS[:1],
        [(1, "ar"), (4, "ku"), (3, "ar"), (2, "ku")],
        [(2, "ar"), (1, "ku"), (3, "ar"), (4, "ku")],
        [(1, "AR"), (3, "AR")],
        [(1, "")],
    ],
)
def test_other_groups_are_refused_while_one_has_campaigns(
    divide: Divide, fail: Fail, output: Path, people: list[Person], snapshot: SnapshotAssertion
) -> None:
    use(divide(TWO_GROUPS).audiences["ar"])
    before = contents(output)
    assert str(fail(people)).replace(str(output), "…") == snapshot
    assert contents(output) == before


def test_groups_whose_manifests_are_lost_are_refused_too(divide: Divide, fail: Fail, output: Path) -> None:
    use(divide(TWO_GROUPS).audiences["ar"])
    for path in output.glob("*/manifest.json"):
        path.unlink()
    assert "already has campaigns" in str(fail(TWO_GROUPS[:3]))
    assert members(divide(TWO_GROUPS)) == {"ar": ["1", "3"], "ku": ["2", "4"]}


def test_groups_and_one_audience_exclude_each_other(
    divide: Divide, fail: Fail, output: Path, snapshot: SnapshotAssertion
) -> None:
    use(divide(TWO_GROUPS).audiences["ar"])
    with pytest.raises(OtpiqValidationError) as caught:
        prepare(request_of(TWO_GROUPS, output))
    assert str(caught.value).replace(str(output), "…") == snapshot
    (output / "in_use.json").write_text(json.dumps({"ledger": f"{output}/ledger"}))
    assert list(fail(TWO_GROUPS).errors) == ["group_by: is now set"]
    (output / "in_use.json").write_text("[]")
    assert "in_use.json: was edited" in str(fail(TWO_GROUPS))


def test_a_create_while_the_manifests_are_withdrawn_keeps_them(
    divide: Divide, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped = divide(TWO_GROUPS)
    before = contents(output)
    folder = Output(str(output), has_groups=True)
    delete = folder.folder.delete

    def use_and_delete(name: str) -> None:
        use(grouped.audiences["ku"])
        delete(name)

    monkeypatch.setattr(folder.folder, "delete", use_and_delete)
    assert not folder.withdraw()
    assert before.items() <= contents(output).items()


def test_a_create_after_the_manifests_were_withdrawn_allows_only_its_own_groups(divide: Divide, output: Path) -> None:
    old = divide(TWO_GROUPS)
    others = {group: audience.manifest for group, audience in divide([(1, "ku"), (2, "ar")]).audiences.items()}
    folder = Output(str(output), has_groups=True)
    assert folder.withdraw()
    use(old.audiences["ar"])  # by a create that read the manifest before
    with pytest.raises(OtpiqValidationError, match="already has campaigns"):
        folder.publish(others)
    assert not list(output.glob("*/manifest.json"))
    folder.publish({group: audience.manifest for group, audience in old.audiences.items()})
    assert len(list(output.glob("*/manifest.json"))) == 2


# Creates decide which division is used


def test_two_divisions_are_never_used_both(divide: Divide, output: Path, snapshot: SnapshotAssertion) -> None:
    old = divide(TWO_GROUPS)
    new = divide(MOVED)
    use(new.audiences["ar"])
    use(new.audiences["ku"])
    for audience in old.audiences.values():
        with pytest.raises(OtpiqValidationError) as caught:
            use(audience)
    assert str(caught.value).replace(str(output), "…") == snapshot


def test_an_audience_that_is_not_divided_is_not_used_beside_groups(divide: Divide, output: Path) -> None:
    one = prepare(request_of(TWO_GROUPS, output)).audiences[None]
    use(one)
    assert not (output / "in_use.json").exists()  # the create itself writes it
    use(divide(TWO_GROUPS).audiences["ar"])
    with pytest.raises(OtpiqValidationError, match="is not of the groups"):
        use(one)


def test_a_manifest_that_is_not_of_a_group_stays_as_it_was(output: Path) -> None:
    manifest = prepare(request_of(TWO_GROUPS, output)).audiences[None].manifest
    assert b"groups" not in manifest.to_json()
    assert Manifest.model_validate_json(manifest.to_json()) == manifest
