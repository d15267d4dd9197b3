"""If an assumption about OTPIQ is wrong, nobody gets two messages, and nobody's message is lost silently."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from pendulum import DateTime

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import OtpiqError
from airflow_provider_otpiq.operators.campaign import (
    CreateCampaignOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.operators.recipients import AttachRecipientsOperator
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.deviations import DEVIATIONS
from tests.broadcast.people import TEMPLATE, everybody, number, write_audience
from tests.conftest import AIRFLOW_VERSION
from tests.fakes import StateStore
from tests.operators.broadcasts import Run, in_minutes, later
from tests.operators.reports import ReportTask

pytestmark = pytest.mark.slow

PARTS, PART_SIZE = 2, 101
HOURS = 4
TRIES = 3


@dataclass
class Dag:
    """Runs tasks one after the other, each with retries, until one fails."""

    sandbox: Sandbox
    deviation: str
    errors: list[str] = field(default_factory=list)
    has_failed: bool = False
    minutes: int = 0
    """The time that has passed."""

    def __call__(self, task: Callable[[], Any]) -> Any:
        """Run a task, unless one has failed; a retry is twenty minutes later."""
        for _ in range(0 if self.has_failed else TRIES):
            with later(minutes=self.minutes):
                try:
                    return task()
                except (OtpiqError, OSError) as error:
                    self.errors.append(str(error))
                    if isinstance(error, AirflowFailException):
                        break
            self.minutes += 20
        self.has_failed = True
        return None

    @property
    def messages(self) -> Counter[str]:
        """The messages of each number, days later."""
        with later(days=3):
            started = [campaign["_id"] for campaign in self.sandbox.campaigns if campaign["startedAt"]]
        return Counter(each for campaign_id in started for each in self.sandbox.recipients(campaign_id))

    @property
    def start_times(self) -> set[DateTime]:
        with later(days=3):
            return {parse_datetime(each["startedAt"]) for each in self.sandbox.campaigns if each["startedAt"]}


def lose_responses(sandbox: Sandbox) -> None:
    """Lose a response to a create and an attach."""
    for call, times in {"create": 1, "attach": 1}.items():
        sandbox.arm(call, when="after", connection="drop", times=times)


@pytest.fixture
def audience(tmp_path: Path) -> str:
    """More people than the deviation `report-1000-numbers` allows."""
    return write_audience(str(tmp_path), PARTS, PART_SIZE)


@pytest.fixture(params=DEVIATIONS)
def run(request: pytest.FixtureRequest, sandbox: Sandbox, sleep_calls: list[float]) -> Dag:
    sandbox.deviations = [request.param]
    return Dag(sandbox, request.param)


@pytest.fixture
def attached(context: dict[str, Any], run: Dag) -> Callable[[], str]:
    """Create a campaign and attach recipients."""
    if AIRFLOW_VERSION.release >= (3, 3):
        context["task_state_store"] = StateStore()
    recipients = [
        {"phoneNumber": number(each), "templateParameters": {"body": {"1": "Ali"}}} for each in range(PARTS * PART_SIZE)
    ]

    def create_and_attach() -> str:
        campaign_id = run(partial(Run(CreateCampaignOperator, context, TEMPLATE), name="Summer offer"))
        run(partial(Run(AttachRecipientsOperator, context, {"recipients": recipients}), campaign_id=campaign_id))
        return str(campaign_id)

    return create_and_attach


def lose_updates(sandbox: Sandbox) -> None:
    """Lose all responses to the updates of a try, although they have taken effect."""
    sandbox.arm("update", when="after", connection="drop", times=4)


def require_named(run: Dag, log: str) -> None:
    text = "\n".join([*run.errors, log])
    assert re.search(rf"[Aa]ssumptions? ([a-z0-9-]+, )?{run.deviation}\b", text), text


@pytest.mark.parametrize("lost", [False, True])
def test_a_scheduled_campaign(
    run: Dag, context: dict[str, Any], attached: Callable[[], str], logged: Callable[[], str], lost: bool
) -> None:
    if lost:
        lose_responses(run.sandbox)
    time = in_minutes(HOURS * 60)
    schedule = Run(UpdateCampaignOperator, context, {"campaign_id": attached(), "schedule_type": "schedule"})
    if lost:
        lose_updates(run.sandbox)
    run(partial(schedule, scheduled_for=time))
    assert run.messages == everybody(PARTS, PART_SIZE) or (run.has_failed and not run.messages)
    if run.has_failed:
        if (run.deviation, lost) != ("time-offset", True):  # the response with the wrong time is lost
            require_named(run, logged())
    else:
        assert run.start_times == {time}


@pytest.mark.parametrize("lost", [False, True])
def test_a_started_campaign(
    run: Dag, context: dict[str, Any], attached: Callable[[], str], logged: Callable[[], str], lost: bool
) -> None:
    if lost:
        lose_responses(run.sandbox)
    run(partial(Run(StartCampaignOperator, context, {}), campaign_id=attached()))
    assert run.messages == (Counter() if run.has_failed else everybody(PARTS, PART_SIZE))
    if run.has_failed:
        require_named(run, logged())


@pytest.mark.parametrize("lost", [False, True])
def test_a_broadcast(
    run: Dag, create: Run, start: Run, poke: ReportTask, report: ReportTask, logged: Callable[[], str], lost: bool
) -> None:
    if lost:
        lose_responses(run.sandbox)
    time = None if lost else in_minutes(HOURS * 60)
    run(create)
    if lost:
        lose_updates(run.sandbox)
    ledger = run(partial(start, scheduled_for=time))
    was_started = not run.has_failed
    run.minutes += HOURS * 60 + 30
    is_delivered = run(partial(poke, broadcast=ledger))
    run(partial(report, broadcast=ledger))
    assert not run.messages - everybody(PARTS, PART_SIZE)
    if was_started:
        assert run.messages == everybody(PARTS, PART_SIZE)
        assert time is None or run.start_times == {time}
    if not is_delivered or run.has_failed:
        require_named(run, logged())
    else:
        assert report.counts["unmatched"] == 0


def test_a_stopped_broadcast(run: Dag, create: Run, start: Run, stop: Run, logged: Callable[[], str]) -> None:
    run(create)
    ledger = run(partial(start, scheduled_for=in_minutes(HOURS * 60)))
    run(partial(stop, broadcast=ledger))
    assert not run.messages - everybody(PARTS, PART_SIZE)
    if run.has_failed:
        require_named(run, logged())
    else:
        assert not run.messages
