"""The sensor that waits for the delivery of messages: when it generates a report, succeeds and fails."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import (
    OtpiqAuthenticationError,
    OtpiqCreditError,
    OtpiqError,
    OtpiqServerError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import number
from tests.conftest import needs_task_state
from tests.fakes import BrokenStateStore, StateStore, TaskInstance, execute
from tests.operators.broadcasts import later
from tests.operators.reports import WINDOW, ReportTask

OWN = [{"Phone Number": number(index)} for index in range(9)]
OTP = {"Phone Number": number(0), "Message Type": "OTP"}


def test_a_broadcast_is_awaited_until_its_messages_are_final(poke: ReportTask, broadcast: str) -> None:
    assert not poke(broadcast=broadcast)
    assert poke.generated == []  # it has not started
    with later(minutes=10, seconds=3):
        assert not poke(broadcast=broadcast)
    assert poke.counts["sent"] == 8
    with later(minutes=10, seconds=30):
        assert poke(broadcast=broadcast)
    assert (poke.counts["delivered"], poke.counts["failed"], poke.counts["cost_iqd"]) == (8, 1, 96)
    assert [sorted(body) for body in poke.generated] == 2 * [["endDate", "startDate"]]


@pytest.mark.parametrize(
    ("rows", "fields", "is_done"),
    [
        pytest.param(OWN[:8], {}, False, id="a recipient without a message"),
        pytest.param(OWN[:8], {"min_final": 8 / 9}, True, id="enough recipients"),
        pytest.param(
            [*OWN, *({"Phone Number": number(index), "Delivery Status": "sent"} for index in range(100, 150))],
            {},
            True,
            id="messages to other people",
        ),
        pytest.param([*OWN, {**OWN[0], "Delivery Status": "pending"}], {}, False, id="a final and a pending one"),
        pytest.param([*OWN, {**OTP, "Delivery Status": "pending"}], {}, True, id="an OTP"),
        pytest.param(
            [*OWN, {**OTP, "Delivery Status": "pending"}],
            {"message_types": ["OTP", "WhatsApp Template"]},
            False,
            id="an OTP that counts",
        ),
        pytest.param([OTP], {"min_final": 0.01}, False, id="only an OTP"),
    ],
)
def test_each_recipient_of_a_broadcast_needs_a_final_message(
    poke: ReportTask, broadcast: str, rows: list[dict[str, str]], fields: dict[str, Any], is_done: bool
) -> None:
    poke.send(*rows)
    with later(hours=1):
        assert poke(**{"broadcast": broadcast, "min_final": 1, **fields}) is is_done


@pytest.mark.parametrize(
    ("statuses", "min_final", "is_done"),
    [
        (["delivered", "read", "failed"], 1.0, True),
        (["delivered", "pending"], 0.5, True),
        (["delivered", "sent"], "0.51", False),
        (["delivered"] * 98 + ["sent"] * 2, 0.98, True),
        (["delivered"] * 97 + ["sent"] * 3, 0.98, False),
        (["delivered", "queued"], 1, False),
        (["Delivered ", "FAILED"], 1, True),
        ([], 1, True),
    ],
)
def test_a_window_is_done_at_a_share_of_its_messages(
    poke: ReportTask, statuses: list[str], min_final: Any, is_done: bool
) -> None:
    poke.send(*({"Delivery Status": status} for status in statuses))
    assert poke(**WINDOW, min_final=min_final) is is_done


@pytest.mark.parametrize(("rows", "is_done"), [([{}], False), ([], True)])
def test_a_window_with_other_types_only_is_not_done(
    poke: ReportTask, rows: list[dict[str, str]], is_done: bool, caplog: pytest.LogCaptureFixture
) -> None:
    poke.send(*rows)
    assert poke(**WINDOW, message_types="Whatsap Template") is is_done
    assert ("set message_types" in caplog.text) is not is_done


def test_a_window_is_not_done_before_its_end(poke: ReportTask) -> None:
    end = datetime.now(UTC) + timedelta(minutes=5)
    assert not poke(start="2026-11-20T00:00:00Z", end=end)
    assert poke.sandbox.requests == []


def test_by_default_it_pokes_four_times_an_hour_and_occupies_no_slot(dag: DAG) -> None:
    sensor = DeliverySensor(task_id="sensor", broadcast="/ledger", dag=dag)
    assert (sensor.mode, sensor.poke_interval, sensor.min_final) == ("reschedule", 900, 0.98)


# Pokes that fail


@pytest.fixture
def outage(sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook]) -> Callable[[int], None]:
    """Let so many pokes fail."""
    connect_sandbox(max_retries=0)

    def arm(pokes: int) -> None:
        if pokes:
            sandbox.arm("generate", status=503, times=pokes)

    return arm


@pytest.fixture
def counted(poke: ReportTask) -> ReportTask:
    """A poke for a window, with Airflow's task state."""
    poke.context["task_state_store"] = StateStore()
    poke.defaults |= WINDOW
    return poke


@needs_task_state
def test_after_a_failed_poke_comes_another_one(
    counted: ReportTask, outage: Callable[[int], None], logged: Callable[[], str]
) -> None:
    counted.send({"Delivery Status": "pending"})
    assert not counted()
    counted.pushed.clear()  # as Airflow does before each poke in the mode reschedule
    outage(3)
    for _ in range(3):
        assert not counted()
        assert counted.counts["pending"] == 1
    text = logged()
    assert "failed pokes in a row: 3 of at most 5" in text
    assert "503" in text
    assert counted()


@needs_task_state
@pytest.mark.parametrize(("max_failed_pokes", "most"), [(0, 0), ("{{ 2 }}", 2)])
def test_too_many_failed_pokes_in_a_row_fail_the_task(
    counted: ReportTask, outage: Callable[[int], None], max_failed_pokes: int | str, most: int
) -> None:
    counted.defaults["max_failed_pokes"] = max_failed_pokes
    for _ in range(2):  # a poke that succeeds resets the count
        outage(most)
        assert not any(counted() for _ in range(most))
        counted.send({"Delivery Status": "pending"})
        assert not counted()
    outage(most + 1)
    assert not any(counted() for _ in range(most))
    counted.fail(OtpiqServerError)
    assert counted.counts["pending"] == 1


@needs_task_state
def test_a_later_try_resets_the_count(counted: ReportTask, outage: Callable[[int], None]) -> None:
    counted.defaults["max_failed_pokes"] = 1
    outage(3)
    assert not counted()
    counted.fail(OtpiqServerError)
    counted.context["ti"] = TaskInstance(try_number=2)
    assert not counted()


@pytest.mark.parametrize("pokes", [5, 6])
def test_in_one_process_failed_pokes_are_counted_without_a_store(
    poke: ReportTask, outage: Callable[[int], None], sleep_calls: list[float], pokes: int
) -> None:
    sensor = poke.make(**WINDOW, mode="poke")
    outage(pokes)
    with pytest.raises(OtpiqServerError) if pokes > 5 else contextlib.nullcontext():
        execute(sensor, poke.context)
    assert len(poke.generated) == 6
    assert sleep_calls.count(900) == 5


def test_without_a_store_only_the_timeout_limits_rescheduled_pokes(
    poke: ReportTask, outage: Callable[[int], None], logged: Callable[[], str]
) -> None:
    outage(8)
    for _ in range(7):
        assert not poke(**WINDOW)
    assert "before Airflow 3.3, only the timeout limits failed pokes in the mode reschedule" in logged()
    poke.fail(OtpiqServerError, **WINDOW, max_failed_pokes=0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 401}, OtpiqAuthenticationError),
        ({"status": 400, "body": {"error": "No", "requiredCredit": 12, "yourCredit": 0}}, OtpiqCreditError),
    ],
)
def test_an_error_that_a_retry_cannot_fix_fails_the_task_immediately(
    counted: ReportTask, fault: dict[str, Any], error: type[OtpiqError]
) -> None:
    counted.sandbox.arm("generate", **fault)
    counted.fail(error)
    assert counted.context["task_state_store"].stored == {}


def test_a_ledger_that_cannot_be_read_is_read_again_by_the_next_poke(poke: ReportTask, broadcast: str) -> None:
    folder = Path(broadcast)
    poke.context["task_state_store"] = StateStore()
    with later(hours=1):
        (folder / "broadcast.json").rename(folder / "away.json")
        (folder / "broadcast.json").mkdir()  # to read it is an OSError
        assert not poke(broadcast=broadcast)
        (folder / "broadcast.json").rmdir()
        (folder / "away.json").rename(folder / "broadcast.json")
        assert poke(broadcast=broadcast)


class UnreadableStateStore(StateStore):
    def get(self, key: str) -> Any:
        raise RuntimeError("the API server is away")


@pytest.mark.parametrize(
    ("store", "text"), [(BrokenStateStore, "could not be saved"), (UnreadableStateStore, "starts at 0")]
)
def test_a_store_that_fails_does_not_fail_a_poke(
    poke: ReportTask, store: type[StateStore], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    poke.context["task_state_store"] = store()
    assert poke(**WINDOW)
    assert text in caplog.text
