"""Groups of an audience: what the prepare pushes, and one create and one start for each group."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import messaged, number
from tests.operators.broadcasts import Run

PEOPLE = {1: "ar", 2: "ku", 3: "ar", 4: "ku", 5: "holdout"}
MOVED = {1: "ku", 2: "ar", 3: "ar", 4: "ku", 5: "holdout"}


@pytest.fixture
def context(context: dict[str, Any], sandbox_hook: OtpiqHook) -> dict[str, Any]:
    return context | {"params": {"column": "group", "none": None}}


@pytest.fixture
def prepare(context: dict[str, Any], tmp_path: Path) -> Run:
    fields: dict[str, Any] = {
        "phone_number": "phone",
        "template_parameters": {"body": {"1": "name"}},
        "output": f"{tmp_path}/groups",
        "group_by": "{{ params.column }}",
        "source": rows(PEOPLE),
    }
    return Run(PrepareAudienceOperator, context, fields)


def rows(people: dict[int, str]) -> Any:
    found = [{"phone": number(person), "name": "Ali", "group": group} for person, group in people.items()]
    return lambda: found


@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_task_of_one_audience_says_how_to_map_it_over_the_groups(
    prepare: Run, create: Run, report: Run, tmp_path: Path, snapshot: SnapshotAssertion, is_mapped: bool
) -> None:
    groups = prepare()
    audience = groups[0] if is_mapped else groups
    follow_up = Run(PrepareAudienceOperator, prepare.context, {"output": f"{tmp_path}/second", "follow_up": "d.csv"})
    errors = [task.fail(audience=audience).errors for task in (create, report, follow_up)]
    (text,) = {error for error, *_ in errors}
    assert text == snapshot


def test_the_groups_are_returned_in_their_order_and_the_counts_are_of_all(prepare: Run, tmp_path: Path) -> None:
    returned = prepare()
    assert returned == [
        {"group": group, "manifest": f"{tmp_path}/groups/{group}/manifest.json", "recipients": recipients}
        for group, recipients in (("ar", 2), ("holdout", 1), ("ku", 2))
    ]
    assert json.loads(json.dumps(returned)) == returned
    assert prepare.pushed == {
        "audience": {"rows": 5, "recipients": 5, "duplicates": 0, "suppressed": 0, "rejected": 0, "parts": 3}
    }
    prepare.pushed.clear()
    assert prepare(do_xcom_push=False) == returned
    assert prepare.pushed == {}


def test_each_group_gets_its_message_and_a_holdout_gets_none(
    prepare: Run, create: Run, start: Run, sandbox: Sandbox
) -> None:
    for group in prepare():
        if group["group"] != "holdout":
            start(broadcast=create(audience=group["manifest"], name=f"Offer {group['group']}"))
    assert messaged(sandbox) == {number(person): 1 for person in (1, 2, 3, 4)}
    names = {campaign["name"]: sandbox.recipients(campaign["_id"]) for campaign in sandbox.campaigns}
    assert names == {"Offer ar 1/1": [number(1), number(3)], "Offer ku 1/1": [number(2), number(4)]}
    assert [group["group"] for group in prepare()] == ["ar", "holdout", "ku"]  # a clear
    prepare.fail(match="already has campaigns", source=rows(MOVED))


def test_nobody_who_changed_the_group_between_two_tries_gets_two_messages(
    prepare: Run, create: Run, start: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    prepare()
    shutil.copytree(tmp_path / "groups", tmp_path / "before")
    prepare(source=rows(MOVED))
    start(broadcast=create(audience=f"{tmp_path}/groups/ar/manifest.json"))
    # As if an earlier try, which Airflow had given up, had written its manifest later.
    shutil.copytree(tmp_path / "before" / "ku", tmp_path / "groups" / "ku", dirs_exist_ok=True)
    create.fail(
        match="is not of the groups in .* that already have campaigns", audience=f"{tmp_path}/groups/ku/manifest.json"
    )
    start.fail(broadcast=f"{tmp_path}/groups/ku/ledger")
    assert messaged(sandbox) == {number(2): 1, number(3): 1}


def test_a_group_does_not_replace_another_one_in_a_ledger(
    prepare: Run, create: Run, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    """Each create with the same ledger would succeed, and only the last group would get its message."""
    first, *_, last = prepare()
    create(audience=first["manifest"], ledger=f"{tmp_path}/ledger")
    error = create.fail(audience=last["manifest"], ledger=f"{tmp_path}/ledger", replace=True)
    assert str(error).replace(str(tmp_path), "…") == snapshot
    assert not Path(last["manifest"]).with_name("in_use.json").exists()
    create(audience=first["manifest"], ledger=f"{tmp_path}/ledger", replace=True, name="Another offer")


@pytest.mark.parametrize("first", ["ar/manifest.json", "manifest.json"])
def test_one_audience_and_groups_of_it_do_not_both_get_a_message(
    prepare: Run, create: Run, tmp_path: Path, sandbox: Sandbox, first: str
) -> None:
    folder = tmp_path / "groups"
    prepare()
    shutil.copytree(folder, tmp_path / "before")
    prepare(group_by=None)
    shutil.copytree(tmp_path / "before", folder, dirs_exist_ok=True)
    (second,) = {"ar/manifest.json", "manifest.json"} - {first}
    create(audience=f"{folder}/{first}")
    create.fail(match="is not of the groups", audience=f"{folder}/{second}")
    assert len(sandbox.campaigns) == 1
    if first == "manifest.json":
        prepare.fail(match="group_by: is now set")


def test_lineage_has_each_group(prepare: Run, tmp_path: Path) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    prepare()
    outputs = prepare.task.get_openlineage_facets_on_complete(None).outputs
    assert [output.name for output in outputs] == [f"{tmp_path}/groups/{group}" for group in ("ar", "holdout", "ku")]
