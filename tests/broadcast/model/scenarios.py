"""The scenarios of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.broadcast.model.execution import ALL, KILLED, LOST, REFUSALS, RESPONSE_LOST
from tests.broadcast.model.scenario import LOST_IN_LEDGER, Aftermath, Scenario, request_of
from tests.broadcast.model.tasks import (
    RELEASES,
    SECOND_LEDGER,
    clock,
    create,
    delete,
    fill,
    pause,
    people,
    prepare,
    start,
    stop,
)


class EitherAudience(Scenario):
    """Of two audiences that are prepared in one place, one gets the message, and the other gets nothing."""

    def _wrong_people(self, aftermath: Aftermath) -> list[str]:
        sent = {number for campaign in aftermath.campaigns for number in campaign.people}
        self.first = OTHERS if any(sent.intersection(part) for part in people(self.parts, OTHERS)) else 0
        return super()._wrong_people(aftermath)


class EitherTime(Scenario):
    """Of two times, all campaigns start at one."""

    def _wrong_times(self, aftermath: Aftermath) -> list[str]:
        times = {campaign.time for campaign in aftermath.campaigns}
        return ["several times"] * (len(times) > 1 and not aftermath.was_too_late)


class TwoMessages(Scenario):
    """Two messages to one audience, with a ledger each: each person gets both messages once."""

    def _wrong_books(self, aftermath: Aftermath) -> list[str]:
        books = super()._wrong_books
        names = {request_of(campaign) for campaign in aftermath.campaigns} | {"Summer", "Autumn"}
        each = [[c for c in aftermath.campaigns if request_of(c) == name] for name in sorted(names)]
        return [wrong for campaigns in each for wrong in books(replace(aftermath, campaigns=campaigns))]


class Stopping(Scenario):
    """After a stop that succeeded, only the campaigns that were too late have started. All others may start again."""

    def _wrong_people(self, aftermath: Aftermath) -> list[str]:
        if aftermath.stopped is None:
            return super()._wrong_people(aftermath)
        found = [text for text in super()._wrong_people(aftermath) if "gets nothing" not in text]
        started = {campaign.id for campaign in aftermath.campaigns}
        return [
            *found,
            *["a stopped campaign has started"] * bool(started - set(aftermath.stopped)),
            *["a campaign that was too late has not started"] * bool(set(aftermath.stopped) - started),
        ]


class StaysStopped(Stopping):
    """A start that is cleared after a stop does not begin again."""

    def _wrong_people(self, aftermath: Aftermath) -> list[str]:
        return [*super()._wrong_people(aftermath), *["a stopped start has begun again"] * (aftermath.stopped is None)]


OTHERS = 500
"""The first number of another audience."""
RUN = [create(), start()]
AUTUMN = [create("Autumn", replace=True), start()]
SUMMER_AGAIN = [create(replace=True), start()]
SECOND: dict[str, Any] = {"ledger": SECOND_LEDGER}
PREPARE_AGAIN = [
    RUN,
    [prepare(first=OTHERS), *RUN],
    [prepare(), *RUN],
    [prepare(first=OTHERS), *SUMMER_AGAIN],
    SUMMER_AGAIN,
]
STOPPED = "was stopped|each stopped start"
START_AGAIN = [[start(60)], [stop(), start(60)], [stop(), start(90)]]


def _shard(shard: int, shards: int) -> dict[str, Any]:
    return {"shard": shard, "shards": shards}


SCENARIOS: dict[str, Scenario] = {
    "one run": Scenario({"A": RUN}, faults=ALL, tries=3, parts=3),
    "one run, and the clock": Scenario({"A": RUN, "C": [clock(11)]}, faults=ALL, tries=3),
    "one run, and attaches that return nothing": Scenario(
        {"A": RUN}, faults=ALL, tries=3, world={"attach_returns_totals": False}
    ),
    "two runs": Scenario({"A": RUN, "B": RUN}, parts=1),
    "a create beside a run": Scenario({"A": [create()], "B": RUN}),
    "a create beside a run, and attaches that return nothing": Scenario(
        {"A": [create()], "B": RUN}, parts=1, world={"attach_returns_totals": False}
    ),
    "a create beside a run, and refusals": Scenario({"A": [create()], "B": RUN}, faults=REFUSALS),
    "a create in three shards, one of which waits": Scenario(
        {"A": [create(**_shard(0, 3)), start(**_shard(0, 3))], "B": [create(**_shard(1, 3)), create(**_shard(2, 3))]},
        parts=3,
        clears_failed=True,
        tries=2,
    ),
    "two shards": Scenario(
        {f"A{shard}": [create(**_shard(shard, 2)), start(**_shard(shard, 2))] for shard in (0, 1)},
        clears_failed=True,
        tries=2,
    ),
    "another number of shards": Scenario(
        {"A": [create(**_shard(0, 2)), start(**_shard(0, 2))], "B": [create(**_shard(1, 2)), create(), start()]},
    ),
    "two starts, and the clock": Scenario({"A": [start()], "B": [start()], "C": [clock(11)]}, [create()]),
    "two starts at a time, and the clock": Scenario(
        {"A": [start(20)], "B": [start(20)], "C": [clock(19.5), clock(21)]},
        [create()],
        [[create(), start(20)]],
        minutes=20,
        parts=1,
    ),
    "two starts, and OTPIQ's clock is ahead": Scenario(
        {"A": [start()], "B": [start()], "C": [clock(9.5)]}, [create()], world={"otpiq_is_ahead": 120}, parts=1
    ),
    "two starts, and OTPIQ's clock is behind": Scenario(
        {"A": [start()], "B": [start()], "C": [clock(11)]}, [create()], world={"otpiq_is_ahead": -120}, parts=1
    ),
    "a start that is frozen twice": Scenario(
        {"A": [start(10)], "C": [clock(11), clock(22)]}, [create()], [[start(10)]], minutes=10
    ),
    "a start that is frozen for too long": Scenario(
        {"A": [start(10)], "C": [clock(11), clock(60)]}, [create()], [[start(10)]], minutes=10
    ),
    "too little credit": Scenario(
        {"A": [start()], "B": [start()]}, [create()], world={"credit": 30}, may_end_in="the credit is 30 IQD"
    ),
    "a start of a campaign with a stranger, and a paused template": Scenario(
        {"A": [start()], "P": [pause()]},
        [create(), fill()],
        [[start()]],
        faults=frozenset({KILLED, LOST, RESPONSE_LOST}),
        tries=2,
        may_end_in="holds 3 recipients, and its part 00000 has 2|PAUSED",
    ),
    "two starts, and refusals": Scenario({"A": [start()], "B": [start()]}, [create()], faults=REFUSALS),
    "two starts at different times": EitherTime(
        {"A": [start(20)], "B": [start(60)]}, [create()], [[start(20)], [start(60)]]
    ),
    "a replace beside a start": Scenario({"A": [start()], "B": AUTUMN[:1]}, [create()], [AUTUMN, RUN, SUMMER_AGAIN]),
    "a replace and its start beside a start": Scenario(
        {"A": [start()], "B": AUTUMN}, [create()], [AUTUMN, RUN, SUMMER_AGAIN]
    ),
    "two replaces": Scenario(
        {"A": AUTUMN[:1], "B": [create("Winter", replace=True), start()]},
        [create()],
        [[create("Winter", replace=True), start()], AUTUMN, SUMMER_AGAIN],
        parts=1,
    ),
    "two replaces beside a start": Scenario(
        {"A": AUTUMN[:1], "B": [create("Winter", replace=True)], "S": [start()]},
        [create()],
        [[create("Winter", replace=True), start()], AUTUMN, SUMMER_AGAIN],
        parts=1,
    ),
    "two requests": Scenario({"A": RUN, "B": [create("Autumn"), start()]}, then=[RUN, [create("Autumn"), start()]]),
    "a replace beside a run": Scenario({"A": RUN, "B": AUTUMN}, then=[AUTUMN, RUN, SUMMER_AGAIN], parts=1),
    **{
        f"a replace beside a start of version {release}": Scenario(
            {"A": [start()], "B": AUTUMN}, then=[AUTUMN, RUN, SUMMER_AGAIN], release=release
        )
        for release in RELEASES
    },
    "the same rows prepared beside a run": Scenario(
        {"P": [prepare()], "A": RUN}, then=[[prepare(), *RUN]], watches_audience=True
    ),
    "other rows prepared beside a run": EitherAudience(
        {"P": [prepare(first=OTHERS)], "A": RUN}, then=PREPARE_AGAIN, watches_audience=True
    ),
    "other rows prepared beside a start": EitherAudience(
        {"P": [prepare(first=OTHERS)], "A": [start()]}, [create()], PREPARE_AGAIN, watches_audience=True
    ),
    "two ledgers": TwoMessages(
        {"A": RUN, "B": [create("Autumn", **SECOND), start(**SECOND)]},
        then=[[*RUN, create("Autumn", **SECOND), start(**SECOND)]],
        parts=1,
    ),
    "the ledger deleted beside a run": Scenario({"A": RUN, "D": [delete()]}, may_end_in=LOST_IN_LEDGER),
    "the ledger deleted beside a start": Scenario(
        {"A": [start()], "D": [delete()]}, [create()], may_end_in=LOST_IN_LEDGER
    ),
    "the request's folder deleted beside a run": Scenario(
        {"A": RUN, "D": [delete(only_request=True)]}, may_end_in=LOST_IN_LEDGER
    ),
    "the request's folder deleted beside a start": Scenario(
        {"A": [start()], "D": [delete(only_request=True)]}, [create()], may_end_in=LOST_IN_LEDGER
    ),
    "a stop beside a start": Stopping({"A": [start(20)], "S": [stop()]}, [create()], [[stop()]]),
    "a stop beside a start that is cleared": StaysStopped(
        {"A": [start(20)], "S": [stop()]}, [create()], [[stop(), start(20)]], may_end_in=STOPPED
    ),
    "a stop beside a start, and the clock": Stopping(
        {"A": [start(20)], "S": [stop()], "C": [clock(21)]}, [create()], [[stop()]], parts=1
    ),
    "a stop beside two starts": Stopping(
        {"A": [start(20)], "B": [start(20)], "S": [stop()]}, [create()], [[stop()]], parts=1
    ),
    "a stop beside a create and its start": Stopping(
        {"A": [create(), start(20)], "S": [stop()]}, then=[[stop()]], may_end_in="was not started"
    ),
    "a stop beside a create": Stopping({"A": [create()], "S": [stop()]}, [create(), start(20)], [[stop()]]),
    "two stops": Stopping({"A": [stop()], "B": [stop()]}, [create(), start(20)], [[stop()]]),
    "a stop in two shards, and a start at another time": Stopping(
        {"S0": [stop(**_shard(0, 2)), start(60)], "S1": [stop(**_shard(1, 2))]},
        [create(), start(20)],
        [[start(60)], [stop(), start(60)], [stop(), start(90)]],
    ),
    "a stop and a start at another time beside a start": Stopping(
        {"A": [start(20)], "S": [stop(), start(60)]}, [create()], START_AGAIN
    ),
    "two stops, and a start at another time": Stopping(
        {"A": [stop(), start(60)], "B": [stop()]}, [create(), start(20)], START_AGAIN, parts=1
    ),
    "two starts at other times after a stop": EitherTime(
        {"A": [start(60)], "B": [start(90)]}, [create(), start(20), stop()], [[start(60)], [start(90)]]
    ),
}
