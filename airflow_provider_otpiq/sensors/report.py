"""The sensor that waits for the delivery of messages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException, BaseSensorOperator

from airflow_provider_otpiq.exceptions import OtpiqCreditError, OtpiqError
from airflow_provider_otpiq.operators._base import (
    ExitsOnKill,
    OtpiqBaseOperator,
    RejectsEmptyFields,
    names_of_template_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_otpiq._report.request import AwaitDeliveryRequest
    from airflow_provider_otpiq._task_state.poke_history import PokeHistory
    from airflow_provider_otpiq.operators._base import Text, Time

__all__ = ["DeliverySensor"]


class DeliverySensor(ExitsOnKill, RejectsEmptyFields, OtpiqBaseOperator, BaseSensorOperator):
    """
    Wait until the messages of a broadcast, or of a period, are final: delivered, read or failed.

    A message is not final while it is ``pending`` or ``sent``, or has an undocumented status. Of a broadcast, each
    recipient must have a final message, except those whose campaigns were stopped. A period without messages is final,
    unless all its messages are of other types than ``message_types``. The sensor succeeds when the share ``min_final``
    is final, and never before the period's end, or before the last campaign of the broadcast starts.

    Each poke generates one report of the whole period, which costs nothing and which OTPIQ deletes after 30 days.
    Before the end, or the start of the last campaign, a poke generates none. It needs the extra ``audience``, as
    :class:`.DeliveryReportOperator` does.

    If a poke fails with an error that a retry can fix, such as a lost response, the sensor logs it and pokes again.
    Any other error fails the task immediately.

    XCom: the key ``report`` is a dict of the last counts, as for :class:`.DeliveryReportOperator`, also after a
    timeout. Airflow deletes XCom before each poke in the mode ``reschedule``; from Airflow 3.3 on, the sensor pushes
    the last counts again if a poke fails.

    :param broadcast: the path of the ledger of a started broadcast, such as the output of a
        :class:`.StartBroadcastOperator`. Required unless ``start`` and ``end`` are set. An error if it is set and
        renders to an empty value. (templated)
    :param start: the beginning of the period. A datetime or an ISO 8601 string; a naive time is in the DAG's timezone.
        A broadcast's period begins five minutes before its first campaign by default. (templated)
    :param end: the end of the period. A broadcast's period ends now by default. (templated)
    :param message_types: as for :class:`.DeliveryReportOperator`: of a broadcast, the sensor waits for template
        messages only by default. (templated)
    :param min_final: the share that must be final: above 0.0 and at most 1.0; 0.98 by default, because a few phones
        are always off. (templated)
    :param max_failed_pokes: how many pokes in a row may fail before the task fails: 0 or more, 5 by default. Airflow
        before 3.3 cannot count them in the mode ``reschedule``: there, unless it is 0, any number may fail until the
        sensor's ``timeout``. (templated)
    :param poke_interval: the time between two pokes, in seconds or as a timedelta: 15 minutes by default, at least one
        minute.
    :param mode: ``reschedule`` by default, which occupies no worker slot between pokes.
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: as for :class:`.CreateCampaignOperator`.
    """

    required_if_set = ("broadcast", "message_types")
    min_final: Any
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
        self._assign(locals())

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def poke(self, context: Context) -> bool:
        """
        Generate a report and check whether enough messages are final.

        :param context: the task's context.
        :return: whether the sensor succeeds.
        :raises OtpiqValidationError: if a field or the broadcast is not valid; nothing was sent.
        :raises OtpiqError: as :class:`.DeliveryReportOperator`, if a retry cannot fix it, or if too many pokes failed.
        """
        from airflow_provider_otpiq._report.request import AwaitDeliveryRequest
        from airflow_provider_otpiq._task_state.poke_history import PokeHistory

        fields = self._rendered_fields(context)
        request = AwaitDeliveryRequest.parse(**fields, poke_interval=self.poke_interval)
        self._pokes = self._pokes or PokeHistory(context)
        try:
            return self._poke(context, request, self._pokes)
        except (AirflowFailException, OtpiqCreditError):  # credit does not come back by waiting
            raise
        except (OtpiqError, OSError) as error:
            self._pokes.fail()
            self._push_counts(context, self._pokes.counts)
            if self._pokes.failed > request.max_failed_pokes:
                raise
            self.log.warning("The poke failed and the sensor pokes again (%s): %s", self._limit(request), error)
            return False

    def _poke(self, context: Context, request: AwaitDeliveryRequest, pokes: PokeHistory) -> bool:
        from airflow_provider_otpiq._models.datetimes import to_api_format
        from airflow_provider_otpiq._report.collect import count_messages
        from airflow_provider_otpiq._report.members import members_of

        members = members_of(request)
        time = request.end or (members.last_start if members else None)
        if time and time > pendulum.now("UTC"):
            self.log.info("No report was generated: messages are not final before %s.", to_api_format(time))
            return False
        counts, share = count_messages(self.hook, request, members)
        self.log.info(
            "%.1f %% are final: %s.", 100 * share, ", ".join(f"{key} {value}" for key, value in counts.items())
        )
        self._push_counts(context, counts)
        pokes.succeed(counts)
        return share >= request.min_final

    def _push_counts(self, context: Context, counts: dict[str, Any] | None) -> None:
        if counts is not None and self.do_xcom_push:
            context["ti"].xcom_push(key="report", value=counts)

    def _limit(self, request: AwaitDeliveryRequest) -> str:
        if self._pokes and (self._pokes.is_saved or not self.reschedule):
            return f"failed pokes in a row: {self._pokes.failed} of at most {request.max_failed_pokes}"
        return "before Airflow 3.3, only the timeout limits failed pokes in the mode reschedule"
