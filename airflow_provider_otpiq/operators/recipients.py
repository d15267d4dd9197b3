"""The operators that reach people: attach recipients to a campaign, and send a sample of it."""

from __future__ import annotations

import inspect
import re
from collections import ChainMap
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow_provider_otpiq._task_state.at_most_once import AtMostOnce
from airflow_provider_otpiq.operators._base import OtpiqBaseOperator, documented_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath, XComArg

    from airflow_provider_otpiq._recipients.attach_response import AttachedCampaign
    from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
    from airflow_provider_otpiq.operators._base import Text

    Recipients = Iterable[Any] | XComArg | Callable[..., Iterable[Any]] | ObjectStoragePath


_FILE = re.compile(r"\S.*\.json")
_CAN_BE_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class RedactedRecipients:
    """
    Recipients in a template field that is rendered: Airflow stores and shows their count, and nobody's number.

    :param value: what the field holds.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def render(self, render: Callable[[Any], Any]) -> None:
        """
        Render a field that is a string or a path, and resolve XComArgs, also inside of collections.

        A string inside of a collection is a person's data, never a template. A callable is called when the task
        executes.

        :param render: renders a value.
        """
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        if not callable(self.value):
            is_template = isinstance(self.value, str | ObjectStoragePath)
            self.value = render(self.value) if is_template else _resolve_xcom_args(self.value, render)

    @property
    def path(self) -> str | None:
        """The local path or URL of the file that the field names, if it names one."""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        path = str(self.value) if isinstance(self.value, str | ObjectStoragePath) else ""
        return path if _FILE.fullmatch(path) else None

    def __str__(self) -> str:
        if self.path:
            return f"the recipients in {self.path}"
        if callable(self.value):
            from airflow_provider_otpiq._redaction import name_of_callable

            return f"the recipients of {name_of_callable(self.value)}"
        if isinstance(self.value, Sized) and not isinstance(self.value, str | bytes):
            return f"{len(self.value)} recipients"
        return f"recipients as a {type(self.value).__name__}"


def _resolve_xcom_args(value: Any, resolve: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve_xcom_args(item, resolve) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_resolve_xcom_args(item, resolve) for item in value]
    return resolve(value) if hasattr(value, "iter_references") else value  # of Airflow's mixin, which has moved


class _RecipientsOperator(OtpiqBaseOperator):
    """The base of the operators that accept recipients."""

    template_fields: Sequence[str] = ("campaign_id", "recipients", "null_values", "otpiq_conn_id")
    # What a callable returns is known only after the task has executed. Airflow 2 never looks again.
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        campaign_id: Text,
        recipients: Recipients,
        default_region: str = "IQ",
        validate_parameters: bool = True,
        on_invalid: Literal["fail", "skip"] = "fail",
        null_values: Sequence[str] | XComArg | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.campaign_id: Any = campaign_id
        self.recipients: Any = recipients
        self.default_region = default_region
        self.validate_parameters = validate_parameters
        self.on_invalid = on_invalid
        self.null_values: Any = null_values

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # Airflow calls this for a plain and for a mapped task, `render_template_fields` for a plain one only. Where a
        # field cannot be rendered, it would log this one's template and store what the others have come to; and it
        # would call a callable, before the task executes.
        if parent is self and not isinstance(self.recipients, RedactedRecipients):
            template_fields = [name for name in template_fields if name != "recipients"]
            self.recipients = RedactedRecipients(self.recipients)
            self.recipients.render(lambda value: self.render_template(value, context, jinja_env, seen_oids))
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def _check_recipients(self, context: Context) -> ValidRecipients:
        recipients = self.hook.check_recipients(
            campaign_id=self.campaign_id,
            recipients=self._read_recipients(context),
            default_region=self.default_region,
            validate_parameters=self.validate_parameters,
            on_invalid=self.on_invalid,
            null_values=self.null_values,
        )
        if not self._redacted.path:
            self.recipients = RedactedRecipients(recipients)
        return recipients

    @property
    def _redacted(self) -> RedactedRecipients:
        is_rendered = isinstance(self.recipients, RedactedRecipients)
        return self.recipients if is_rendered else RedactedRecipients(self.recipients)

    def _read_recipients(self, context: Context) -> Any:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        if path := self._redacted.path:
            from airflow_provider_otpiq._audience.recipients_file import read_recipients

            return read_recipients(path)
        recipients = self._redacted.value
        if isinstance(recipients, ObjectStoragePath):  # its suffix is refused
            return str(recipients)
        return call_with_context(recipients, context, self) if callable(recipients) else recipients


def call_with_context(function: Callable[..., Any], context: Context, operator: BaseOperator) -> Any:
    """
    Call a function with those variables of the task's context that it names.

    :param function: what to call.
    :param context: the task's context.
    :param operator: whose task it is.
    :return: what the function returns.
    """
    # The last two are what Airflow itself passes to a callable in a template field.
    available = ChainMap(
        {"context": context, "jinja_env": operator.get_template_env()}, cast("dict[str, Any]", context)
    )
    parameters = inspect.signature(function).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind in _CAN_BE_NAMED}
    wanted = available if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) else named
    bound = getattr(function, "keywords", {})  # of a partial, which has chosen its own value
    return function(**{name: available[name] for name in available if name in wanted and name not in bound})


class AttachRecipientsOperator(_RecipientsOperator):
    r"""
    Attach recipients to a campaign that is a draft or scheduled. It sends no messages before the campaign starts.

    Every recipient is validated before anything is sent: the phone number, the values of template parameters, and
    whether those are set that the campaign's template requires, which are read from OTPIQ once. One error lists all
    invalid ones by their position, with the numbers masked. Of several rows with the same number, the first valid one
    is kept. It is idempotent: OTPIQ skips the numbers that are on the campaign already.

    Strings are cleaned as WhatsApp requires: runs of whitespace, including line breaks and tabs, become one space. A
    value that is blank or means "no value" is left out. The log counts both, and the numbers outside of
    ``default_region``.

    No person's data goes into Airflow's UI, logs or XCom by this operator; the field shows as "1000 recipients". But
    a literal list stands in the DAG file, and in the serialized DAG of Airflow's database, whatever an operator does:
    set a callable.

    XCom: ``return_value`` is the campaign's ``_id``, a string; key ``campaign`` is what OTPIQ returns of the campaign,
    a dict with at least ``_id``; key ``recipients`` is a dict of the counts ``attached``, ``already_attached``,
    ``skipped`` (invalid rows) and ``duplicates`` (further rows of a person). The first two are known only if all
    numbers were on the campaign already, and None otherwise: no documented response has them.

    Rules: https://docs.otpiq.com, *Add recipients*.

    :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters, such as the output of a
        :class:`CreateCampaignOperator`; not its ``campaignId``. (templated)
    :param recipients: 1 to 1000 recipients: dicts in the API's shape, ``{"phoneNumber": "9647712345678",
        "templateParameters": {"body": {"1": "Ali"}}}``, or only phone numbers where the template has no parameters. A
        dict may carry a ``reference`` (a string or an int, such as a customer id), which is never sent and names the
        recipient in errors and logs. A list, an ``XComArg`` of one, or a callable that returns or yields them when the
        task executes, and may take variables of the task's context by their names. Or the path of a file with a JSON
        list of them, such as a part of a prepared audience (``…/parts/00000.json``), which is read when the task
        executes: a string that ends in ``.json``, an absolute path or a URL, or an ``ObjectStoragePath``. Strings
        inside a list are data, and never rendered. A number may be written as ``+964 771…``, ``00964771…``,
        ``0771…`` or ``964771…``, with spaces and in Arabic digits. A value of ``templateParameters`` is a string, a
        number, a bool or missing; those of ``header`` and ``buttons`` may be nested, such as
        ``{"buttons": {"0": {"1": "A-1042"}}}``. (templated)
    :param default_region: the country of numbers like ``0771…``, two letters, ``IQ`` by default.
    :param validate_parameters: whether to check the template's required parameters, True by default; False saves the
        call.
    :param on_invalid: ``fail``, the default, sends nothing if any recipient is invalid; ``skip`` takes the others, of
        100,000 at most, and logs which are left out (at most 100) and why.
    :param null_values: a list of strings that mean "no value" as the value of a template parameter, compared with the
        whole cleaned text. It replaces the default list: what ``pandas.read_csv`` reads as missing (``NULL``, ``nan``,
        ``N/A``, …), ``\N``, ``none``, ``undefined``, and errors of spreadsheets such as ``#REF!``. None, the default,
        is that list; an empty list lets only blank text mean "no value", as for a part of an audience that was prepared
        with another list. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: whether and when Airflow 3.3+ tries the task again,
        :class:`~airflow_provider_otpiq.retry_policy.OtpiqRetryPolicy` by default; None leaves it to ``retries``
        and ``retry_delay``. Ignored before Airflow 3.3.
    """

    def execute(self, context: Context) -> str:
        """
        Attach the recipients.

        :param context: the task's context.
        :return: the campaign's ``_id``.
        :raises OtpiqError: as :meth:`.OtpiqHook.check_recipients` and :meth:`.OtpiqHook.attach_recipients`.
        :raises OtpiqValidationError: also, after the request, if the campaign now holds more recipients than the
            connection's ``max_recipients``.
        """
        recipients = self._check_recipients(context)
        campaign = self.hook.attach_recipients(campaign_id=self.campaign_id, recipients=recipients)
        if campaign.attached == 0:
            self.log.info("All %d recipients were on campaign %s already.", len(recipients), campaign["_id"])
        else:
            total = f", which now holds {campaign['totalRecipients']}" if "totalRecipients" in campaign else ""
            self.log.info("Attached %d recipients to campaign %s%s.", len(recipients), campaign["_id"], total)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="recipients", value=_counts(campaign, recipients))
        return self._push(context, campaign)


def _counts(campaign: AttachedCampaign, recipients: ValidRecipients) -> dict[str, int | None]:
    return {
        "attached": campaign.attached,
        "already_attached": campaign.already_attached,
        "skipped": recipients.skipped,
        "duplicates": recipients.duplicates,
    }


class SendSampleOperator(_RecipientsOperator):
    """
    Send a campaign's message to a few people immediately, such as the team. It costs money.

    OTPIQ creates a separate campaign for it and leaves this one as it is. It is sent at most once: see
    :class:`.StartCampaignOperator`. What is saved on Airflow 3.3+ is the campaign and not the recipients, so a cleared
    task does not send a sample of the same campaign again, whoever the recipients are; ``durable=False`` does.

    XCom: ``return_value`` is the sample campaign's ``_id``, a string; key ``campaign`` is the sample campaign, a dict,
    whose ``sampleOfCampaign`` is the other's id.

    Rules: https://docs.otpiq.com, *Send sample*.

    :param campaign_id: the ``_id`` of the campaign to send a sample of, 24 hexadecimal characters. (templated)
    :param recipients: who gets it, as for :class:`AttachRecipientsOperator`. (templated)
    :param default_region: as for :class:`AttachRecipientsOperator`.
    :param validate_parameters: as for :class:`AttachRecipientsOperator`.
    :param on_invalid: as for :class:`AttachRecipientsOperator`.
    :param null_values: as for :class:`AttachRecipientsOperator`. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param durable: whether to save state for a later try, True by default. Before Airflow 3.3 there is no place to save
        it.
    :param retry_policy: as for :class:`AttachRecipientsOperator`.
    """

    def __init__(self, *, durable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.durable = durable

    def execute(self, context: Context) -> str:
        """
        Send the sample, unless an earlier try of this task instance did.

        :param context: the task's context.
        :return: the sample campaign's ``_id``.
        :raises OtpiqError: as :meth:`.OtpiqHook.check_recipients` and :meth:`.OtpiqHook.send_sample`.
        :raises OtpiqOutcomeUnknownError: if whether the sample was sent is unknown.
        """
        state = AtMostOnce(context, "sample", self.campaign_id, durable=self.durable)
        if sample := state.previous_result():
            self.log.info(
                "An earlier try sent sample %s of campaign %s; nothing was sent.", sample["_id"], self.campaign_id
            )
        else:
            recipients = self._check_recipients(context)
            sample = state.run_once(lambda: self._send_sample(recipients, state))
            self.log.info(
                "Sent sample %s of campaign %s to %d recipients; %d rows were skipped, %d were duplicates.",
                sample["_id"],
                self.campaign_id,
                len(recipients),
                recipients.skipped,
                recipients.duplicates,
            )
        return self._push(context, sample)

    def _send_sample(self, recipients: ValidRecipients, state: AtMostOnce) -> dict[str, Any]:
        sample = self.hook.send_sample(campaign_id=self.campaign_id, recipients=recipients, pending_marker=state)
        return documented_fields(sample)
