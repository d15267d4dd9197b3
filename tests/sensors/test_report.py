"""The sensor that waits for the messages: when it makes a report, when it is done, and what it pushes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.exceptions import OtpiqAuthenticationError, OtpiqServerError, OtpiqValidationError
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import number
from tests.conftest import needs_task_state
from tests.fakes import BrokenStateStore, StateStore, TaskInstance, execute
from tests.operators.broadcasts import later, pushed
from tests.operators.reports import WINDOW, as_csv, generated, send_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

_task_numbers = count()


@pytest.fixture
def poke(dag: DAG, context: dict[str, Any]) -> Callable[..., bool]:
    def run(**fields: Any) -> bool:
        sensor: Any = DeliverySensor(task_id=f"sensor_{next(_task_numbers)}", dag=dag, **fields)
        sensor.render_template_fields(context)
        return bool(sensor.poke(context))

    return run


def test_a_broadcast_is_awaited_until_its_messages_have_arrived(
    poke: Callable[..., bool], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    assert not poke(broadcast=broadcast)
    assert generated(sandbox) == []  # nothing has gone out yet, so nothing was asked for
    with later(minutes=10, seconds=3):
        assert not poke(broadcast=broadcast)
    assert pushed(context)["report"]["sent"] == 8
    with later(minutes=10, seconds=30):
        assert poke(broadcast=broadcast)
    assert pushed(context)["report"] == {
        "messages": 9,
        "pending": 0,
        "sent": 0,
        "delivered": 8,
        "read": 0,
        "failed": 1,
        "refunded": 1,
        "cost_iqd": 96,
        "unmatched": 0,
    }


def test_a_poke_makes_a_single_report(poke: Callable[..., bool], broadcast: str, sandbox: Sandbox) -> None:
    with later(hours=1):
        poke(broadcast=broadcast)
    (body,) = generated(sandbox)
    assert sorted(body) == ["endDate", "startDate"]


def test_who_has_no_message_is_waited_for(
    poke: Callable[..., bool], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    some = as_csv({"Phone Number": number(each)} for each in range(8))
    send_file(sandbox, some, 8, times=2)
    with later(hours=1):
        assert not poke(broadcast=broadcast)
        assert poke(broadcast=broadcast, min_final=8 / 9)
    assert pushed(context)["report"]["unmatched"] == 1


def test_messages_to_others_do_not_count(poke: Callable[..., bool], broadcast: str, sandbox: Sandbox) -> None:
    own = [{"Phone Number": number(each)} for each in range(9)]
    others = [{"Phone Number": number(each), "Delivery Status": "pending"} for each in range(100, 150)]
    send_file(sandbox, as_csv(own + others), 59)
    with later(hours=1):
        assert poke(broadcast=broadcast)


def test_otps_to_the_people_of_a_broadcast_are_not_waited_for(
    poke: Callable[..., bool],
    broadcast: str,
    sandbox: Sandbox,
    context: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    own = [{"Phone Number": number(each)} for each in range(9)]
    otp = {"Phone Number": number(0), "Message Type": "OTP", "Delivery Status": "pending"}
    send_file(sandbox, as_csv([*own, otp]), 10, times=2)
    with later(hours=1):
        assert not poke(broadcast=broadcast, min_final=1, message_types=["OTP", "WhatsApp Template"])
        assert poke(broadcast=broadcast, min_final=1)
    assert pushed(context)["report"]["messages"] == 9
    assert "Left out 1 messages whose type is not 'WhatsApp Template': 'OTP' 1." in caplog.text


def test_otps_alone_are_no_messages_of_a_broadcast(
    poke: Callable[..., bool], broadcast: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    otps = [{"Phone Number": number(each), "Message Type": "OTP"} for each in range(9)]
    send_file(sandbox, as_csv(otps), 9)
    with later(hours=1):
        assert not poke(broadcast=broadcast, min_final=0.01)
    assert "No message is of type 'WhatsApp Template'" in caplog.text


def test_a_person_with_one_final_and_one_pending_message_is_not_final(
    poke: Callable[..., bool], broadcast: str, sandbox: Sandbox
) -> None:
    own = [{"Phone Number": number(each)} for each in range(9)]
    pending = {"Phone Number": number(0), "Delivery Status": "pending"}
    send_file(sandbox, as_csv([*own, pending]), 10, times=2)
    with later(hours=1):
        assert not poke(broadcast=broadcast, min_final=1)
        assert poke(broadcast=broadcast, min_final=8 / 9)


@pytest.mark.parametrize("lost", ["", "{{ none }}"])
def test_types_that_are_lost_are_an_error(poke: Callable[..., bool], sandbox: Sandbox, lost: str) -> None:
    with pytest.raises(OtpiqValidationError, match="message_types: is set and rendered to an empty value"):
        poke(**WINDOW, message_types=lost)
    assert sandbox.requests == []


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
    poke: Callable[..., bool], sandbox: Sandbox, statuses: list[str], min_final: Any, is_done: bool
) -> None:
    send_file(sandbox, as_csv({"Delivery Status": each} for each in statuses), len(statuses))
    assert poke(**WINDOW, min_final=min_final) is is_done


def test_a_window_is_not_done_before_its_end(poke: Callable[..., bool], sandbox: Sandbox) -> None:
    end = datetime.now(UTC) + timedelta(minutes=5)
    assert not poke(start="2026-11-20T00:00:00Z", end=end)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "start: is required"),
        ({**WINDOW, "poke_interval": 59}, "poke_interval: must be 60 seconds or more.*found 59"),
        ({**WINDOW, "poke_interval": timedelta(seconds=30)}, "poke_interval: must be 60 seconds or more"),
        ({**WINDOW, "min_final": 0}, "min_final: must be a share"),
        ({**WINDOW, "min_final": "98"}, "min_final: must be a share.*found '98'"),
        ({"broadcast": {"ledger": "/ledger"}}, "broadcast: must be one path; found a dict"),
        ({**WINDOW, "min_final": "None"}, "min_final: is required"),
        ({**WINDOW, "max_failed_pokes": -1}, "max_failed_pokes: must be at least 0"),
        ({**WINDOW, "max_failed_pokes": "many"}, "max_failed_pokes: must be a whole number"),
        ({"broadcast": "/nowhere/ledger"}, "broadcast: /nowhere/ledger has no broadcast"),
        (
            {"broadcast": "/nowhere/manifest.json"},
            "is the manifest of an audience.*Set the path of the ledger",
        ),
        ({"start": WINDOW["end"], "end": WINDOW["start"]}, "end: must be after start"),
    ],
)
def test_what_cannot_be_awaited(poke: Callable[..., bool], sandbox: Sandbox, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(OtpiqValidationError, match=text):
        poke(**fields)
    assert sandbox.requests == []


def test_it_frees_its_slot_and_asks_four_times_an_hour_by_default(dag: DAG) -> None:
    sensor = DeliverySensor(task_id="sensor", broadcast="/ledger", dag=dag)
    assert (sensor.mode, sensor.poke_interval, sensor.min_final) == ("reschedule", 900, 0.98)


# Pokes that fail


@pytest.fixture
def outage(sandbox: Sandbox, connect: Callable[..., OtpiqHook]) -> Callable[[int], None]:
    """Let OTPIQ be away for so many pokes."""
    connect(host=sandbox.url, password=sandbox.api_key, extra={"max_retries": 0})

    def arm(pokes: int) -> None:
        if pokes:
            sandbox.arm("generate", status=503, times=pokes)

    return arm


def send_pending(sandbox: Sandbox) -> None:
    send_file(sandbox, as_csv([{"Delivery Status": "pending"}]), 1)


@needs_task_state
def test_a_poke_that_fails_is_followed_by_another_one(
    poke: Callable[..., bool],
    context: dict[str, Any],
    sandbox: Sandbox,
    outage: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    context["task_state_store"] = StateStore()
    send_pending(sandbox)
    assert not poke(**WINDOW)
    context["ti"].pushed.clear()  # as Airflow does before each poke in the mode reschedule
    outage(3)
    for _ in range(3):
        assert not poke(**WINDOW)
        assert pushed(context)["report"]["pending"] == 1
    printed = "".join(capfd.readouterr()) + caplog.text  # on Airflow 3, what an operator logs reaches no handler
    assert "the sensor pokes again (3 of at most 5 in a row): " in printed
    assert "503" in printed
    assert poke(**WINDOW)


@needs_task_state
@pytest.mark.parametrize("max_failed_pokes", [0, "{{ 2 }}", 5])
def test_too_many_pokes_in_a_row_fail_the_task(
    poke: Callable[..., bool],
    context: dict[str, Any],
    sandbox: Sandbox,
    outage: Callable[[int], None],
    max_failed_pokes: int | str,
) -> None:
    context["task_state_store"] = StateStore()
    fields = {**WINDOW, "max_failed_pokes": max_failed_pokes}
    most = 2 if isinstance(max_failed_pokes, str) else max_failed_pokes
    for _ in range(2):  # a success in between begins the count anew
        outage(most)
        for _ in range(most):
            assert not poke(**fields)
        send_pending(sandbox)
        assert not poke(**fields)
    outage(most + 1)
    for _ in range(most):
        assert not poke(**fields)
    with pytest.raises(OtpiqServerError):
        poke(**fields)
    assert pushed(context)["report"]["pending"] == 1


@needs_task_state
def test_a_later_try_begins_the_count_anew(
    poke: Callable[..., bool], context: dict[str, Any], outage: Callable[[int], None]
) -> None:
    context["task_state_store"] = StateStore()
    outage(3)
    assert not poke(**WINDOW, max_failed_pokes=1)
    with pytest.raises(OtpiqServerError):
        poke(**WINDOW, max_failed_pokes=1)
    context["ti"] = TaskInstance(try_number=2)
    assert not poke(**WINDOW, max_failed_pokes=1)


@pytest.mark.parametrize("pokes", [5, 6])
def test_pokes_that_fail_in_one_process_are_counted_without_a_store(
    dag: DAG,
    context: dict[str, Any],
    sandbox: Sandbox,
    outage: Callable[[int], None],
    sleep_calls: list[float],
    pokes: int,
) -> None:
    fields: dict[str, Any] = {**WINDOW, "mode": "poke"}
    sensor: Any = DeliverySensor(task_id="sensor", dag=dag, **fields)
    outage(pokes)
    if pokes > 5:
        with pytest.raises(OtpiqServerError):
            execute(sensor, context)
    else:
        execute(sensor, context)
    assert len(generated(sandbox)) == 6
    assert sleep_calls.count(900) == 5


def test_without_a_store_the_timeout_limits_the_pokes_that_are_rescheduled(
    poke: Callable[..., bool],
    outage: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outage(9)
    for _ in range(7):
        assert not poke(**WINDOW)
    printed = "".join(capfd.readouterr()) + caplog.text
    assert (
        "Airflow before 3.3 cannot count failed pokes in the mode reschedule: only the timeout limits them" in printed
    )
    with pytest.raises(OtpiqServerError):
        poke(**WINDOW, max_failed_pokes=0)


def test_an_error_that_no_retry_can_fix_fails_the_task_immediately(
    poke: Callable[..., bool], context: dict[str, Any], sandbox: Sandbox
) -> None:
    context["task_state_store"] = store = StateStore()
    sandbox.arm("generate", status=401)
    with pytest.raises(OtpiqAuthenticationError):
        poke(**WINDOW)
    assert store.stored == {}


def test_a_ledger_that_cannot_be_read_for_a_moment_is_read_again(
    poke: Callable[..., bool], broadcast: str, context: dict[str, Any]
) -> None:
    folder = Path(broadcast)
    context["task_state_store"] = StateStore()
    with later(hours=1):
        (folder / "broadcast.json").rename(folder / "away.json")
        (folder / "broadcast.json").mkdir()  # to read it is an OSError
        assert not poke(broadcast=broadcast)
        (folder / "broadcast.json").rmdir()
        (folder / "away.json").rename(folder / "broadcast.json")
        assert poke(broadcast=broadcast)


def test_a_store_that_cannot_be_written_fails_no_poke(poke: Callable[..., bool], context: dict[str, Any]) -> None:
    context["task_state_store"] = BrokenStateStore()
    assert poke(**WINDOW)
