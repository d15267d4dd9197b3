"""An audience and a broadcast that an earlier release has written and started in part."""

from collections.abc import Iterator

import pytest

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq._ledger.ledger import Ledger, audience_checksum
from airflow_provider_otpiq._ledger.records import Campaign, Schedule
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.broadcast.model import world as worlds
from tests.broadcast.model.tasks import FOLDER, LEDGER, RELEASES, create, restore, start

pytestmark = pytest.mark.parametrize("release", RELEASES)


@pytest.fixture
def world(release: str) -> Iterator[worlds.World]:
    with worlds.installed():
        world = worlds.enter(worlds.World())
        restore(release).run()
        yield world


def test_its_objects_are_read(world: worlds.World) -> None:
    ledger, audience = Ledger.open(LEDGER), Audience(f"{FOLDER}/manifest.json")
    assert ledger
    assert ledger.broadcast.audience_checksum == audience.manifest.checksum == audience_checksum(LEDGER)
    parts = audience.manifest.parts
    assert [len(audience.read_part(part)) for part in parts] == [2, 2]
    assert ledger.is_intact()
    found = ledger.start()
    assert found
    assert found.request == ledger.broadcast.id
    assert set(ledger.read(Campaign, parts)) == {"00000", "00001"}
    assert set(ledger.read(Schedule, parts)) == {"00000"}


def test_its_start_is_continued_with_the_same_campaigns_and_the_same_time(world: worlds.World) -> None:
    create().run()
    start().run()
    assert {(campaign.time, len(campaign.people)) for campaign in world.campaigns.values()} == {
        ("2026-06-01T06:10:00Z", 2)
    }
    assert len(world.campaigns) == 2


def test_another_request_is_refused_as_the_start_has_begun(world: worlds.World) -> None:
    before = world.key
    with pytest.raises(OtpiqValidationError, match="has begun with another request"):
        create("Autumn", replace=True).run()
    with pytest.raises(OtpiqValidationError, match="A start that has begun keeps its time"):
        start(20).run()
    assert world.key == before


def test_of_two_requests_whose_starts_have_begun_neither_is_continued_until_one_start_is_deleted(
    world: worlds.World,
) -> None:
    other = "audience/ledger/fedcba987654/start.json"
    (path,) = [path for path in world.objects if path.endswith("/start.json")]
    world.objects[other] = world.objects[path]
    for task in (start(), create(), create("Autumn", replace=True)):
        with pytest.raises(OtpiqValidationError) as caught:
            task.run()
        assert caught.value.errors == (f"{LEDGER}: the starts of 2 requests have begun; expected one",)
        assert f"model://{path}" in str(caught.value)
        assert f"model://{other}" in str(caught.value)
    del world.objects[other]
    start().run()
    assert {campaign.time for campaign in world.campaigns.values()} == {"2026-06-01T06:10:00Z"}
