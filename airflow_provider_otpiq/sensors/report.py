"""The sensor that waits until the messages have arrived."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseSensorOperator

from airflow_provider_otpiq.exceptions import OtpiqError
from airflow_provider_otpiq.operators._base import ExitsOnKill, OtpiqBaseOperator, RejectsEmptyFields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_otpiq._report.request import AwaitDeliveryRequest
    from airflow_provider_otpiq._task_state.poke_history import PokeHistory
    from airflow_provider_otpiq.operators._base import Text, Time

__all__ = ["DeliverySensor"]


class DeliverySensor(ExitsOnKill, RejectsEmptyFields, OtpiqBaseOperator, BaseSensorOperator):
    """
    Wait until the messages of a broadcast, or of a window, are final: delivered, read or failed.

    A message is not final while it is ``pending`` or ``sent``, or has a status that OTPIQ does not document; of a
    broadcast, neither is a person who has no message yet; a window without messages is. The sensor is done when at
    least ``min_final`` are final, and never before the window's end, or before the last campaign of a broadcast starts.

    Each poke makes a report of the whole window at OTPIQ, which costs nothing and is deleted after 30 days; before the
    end, or the start, it makes none. It needs the extra ``audience``, as :class:`.DeliveryReportOperator` does.

    A poke that fails with an error that a retry can fix, such as a lost response, is logged, and the sensor pokes
    again. Any other error fails the task immediately.

    XCom: key ``report`` is a dict of the last counts, as :class:`.DeliveryReportOperator` has them, also where the
    sensor times out. Airflow deletes XCom before each poke of the mode ``reschedule``; from Airflow 3.3 on, the sensor
    pushes the last counts again if a poke fails.

    :param broadcast: the path of the ledger of a broadcast that was started, such as the output of a
        :class:`.StartBroadcastOperator`. Either it, or ``start`` and ``end``, is required. If it is set and
        renders to an empty value, that is an error. (templated)
    :param start: when the window begins. A datetime or an ISO 8601 string; a naive time is in the DAG's timezone. A
        broadcast's own begins five minutes before its first campaign. (templated)
    :param end: when the window ends. A broadcast's own ends now. (templated)
    :param message_types: as for :class:`.DeliveryReportOperator`: for a broadcast, only its template messages are
        waited for. (templated)
    :param min_final: the share that must be final: above 0.0 and at most 1.0, 0.98 by default, as a few phones are
        always off. (templated)
    :param max_failed_pokes: how many pokes in a row may fail before the task does, 5 by default; 0 fails it with the
        first one. Airflow before 3.3 cannot count them in the mode ``reschedule``: there, any number may fail until the
        sensor's ``timeout``, unless it is 0. (templated)
    :param poke_interval: how long to wait between two reports: 15 minutes by default, one minute at least.
    :param mode: ``reschedule`` by default, which holds no worker slot meanwhile.
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    template_fields: Sequence[str] = (
        "broadcast",
        "start",
        "end",
        "message_types",
        "min_final",
        "max_failed_pokes",
        "otpiq_conn_id",
    )
    required_if_set = ("broadcast", "message_types")
    _pokes: PokeHistory | None = None

    def __init__(
        self,
        *,
        broadcast: Text | None = None,
        start: Time | None = None,
        end: Time | None = None,
        message_types: Sequence[str] | XComArg | None = None,
        min_final: float | Text = 0.98,
        max_failed_pokes: int | Text = 5,
        poke_interval: timedelta | float = timedelta(minutes=15),
        mode: str = "reschedule",
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, mode=mode, **kwargs)
        self.broadcast = broadcast
        self.start = start
        self.end = end
        self.message_types = message_types
        self.min_final = min_final
        self.max_failed_pokes = max_failed_pokes

    def poke(self, context: Context) -> bool:
        """
        Make a report, and tell whether enough of the messages are final.

        :param context: the task's context.
        :return: whether the sensor is done.
        :raises OtpiqValidationError: if a field or the broadcast cannot be used; nothing was sent.
        :raises OtpiqError: as :class:`.DeliveryReportOperator`, if a retry cannot fix it, or too many pokes failed.
        """
        from airflow_provider_otpiq._report.request import AwaitDeliveryRequest
        from airflow_provider_otpiq._task_state.poke_history import PokeHistory

        request = AwaitDeliveryRequest.parse(
            broadcast=self.broadcast,
            start=self._in_timezone_of_dag(context, "start"),
            end=self._in_timezone_of_dag(context, "end"),
            message_types=self.message_types,
            min_final=self.min_final,
            max_failed_pokes=self.max_failed_pokes,
            poke_interval=self.poke_interval,
        )
        self._pokes = self._pokes or PokeHistory(context)
        try:
            return self._poke(context, request, self._pokes)
        except AirflowFailException:
            raise
        except (OtpiqError, OSError) as error:
            self._pokes.fail()
            self._push_counts(context, self._pokes.counts)
            if self._pokes.failed > request.max_failed_pokes:
                raise
            self.log.warning("The poke failed, and the sensor pokes again (%s): %s", self._limit(request), error)
            return False

    def _poke(self, context: Context, request: AwaitDeliveryRequest, pokes: PokeHistory) -> bool:
        import pendulum

        from airflow_provider_otpiq._models.datetimes import to_api_format
        from airflow_provider_otpiq._report.collect import count_messages, not_before
        from airflow_provider_otpiq._report.members import members_of

        people = members_of(request)
        time = not_before(request, people)
        if time and time > pendulum.now("UTC"):
            self.log.info("Nothing is final before %s; no report was made.", to_api_format(time))
            return False
        counts, share = count_messages(self.hook, request, people)
        self.log.info("%.1f %% are final: %s.", 100 * share, ", ".join(f"{name} {n}" for name, n in counts.items()))
        self._push_counts(context, counts)
        pokes.succeed(counts)
        return share >= request.min_final

    def _push_counts(self, context: Context, counts: dict[str, Any] | None) -> None:
        if counts is not None and self.do_xcom_push:
            context["ti"].xcom_push(key="report", value=counts)

    def _limit(self, request: AwaitDeliveryRequest) -> str:
        if self._pokes and (self._pokes.is_saved or not self.reschedule):
            return f"{self._pokes.failed} of at most {request.max_failed_pokes} in a row"
        return "Airflow before 3.3 cannot count failed pokes in the mode reschedule: only the timeout limits them"
