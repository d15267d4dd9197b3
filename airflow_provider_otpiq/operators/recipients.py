"""The operators that accept recipients: attach them to a campaign, or send a sample of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_otpiq._task_state.at_most_once import AtMostOnce
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.operators._base import (
    ExitsOnKill,
    OtpiqBaseOperator,
    RejectsEmptyFields,
    documented_fields,
    names_of_template_fields,
)
from airflow_provider_otpiq.operators._redacted import RedactedRecipients, call_with_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
    from airflow_provider_otpiq.operators._base import Text

    Recipients = Iterable[Any] | Callable[..., Iterable[Any]] | PathLike[str] | ObjectStoragePath


_CSV_FIELDS = ("phone_number", "template_parameters", "reference", "delimiter", "encoding")
_SHOWN_FIELDS = ("campaign_id", *_CSV_FIELDS, "null_values")
_SECTIONS = {"body", "header", "buttons"}


class _RecipientsOperator(ExitsOnKill, RejectsEmptyFields, OtpiqBaseOperator):
    """The base of the operators that accept recipients."""

    required_if_set = ("template_parameters", "encoding", "null_values", "default_region")
    # A callable's recipients are counted only after the task has executed. Airflow 2 does not store this count.
    overwrite_rtif_after_execution = True
    campaign_id: Any
    recipients: Any
    _reads_csv = False

    def __init__(
        self,
        *,
        campaign_id: Text,
        recipients: Recipients | XComArg,
        phone_number: Text | None = None,
        template_parameters: Mapping[str, Mapping[str, Any]] | XComArg | None = None,
        reference: Text | None = None,
        delimiter: Text | None = None,
        encoding: Text | None = None,
        default_region: str = "IQ",
        validate_parameters: bool = True,
        on_invalid: Literal["fail", "skip"] = "fail",
        null_values: Sequence[str] | XComArg | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assign(locals())
        self.default_region = default_region
        self.validate_parameters = validate_parameters
        self.on_invalid = on_invalid

    template_fields: Sequence[str] = names_of_template_fields(__init__)

    def on_kill(self) -> None:
        """Exit while a CSV file is read, so that its temporary copy is removed. A request is not interrupted."""
        if self._reads_csv:
            super().on_kill()

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # Airflow calls this for plain and mapped tasks, `render_template_fields` for plain ones only. It would call a
        # callable before the task executes. If a field cannot be rendered, it would log the template of this one.
        if parent is self and not isinstance(self.recipients, RedactedRecipients):
            template_fields = [name for name in template_fields if name != "recipients"]
            self.recipients = RedactedRecipients(self.recipients)
            self.recipients.render(lambda value: self.render_template(value, context, jinja_env, seen_oids))
        try:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        finally:
            if parent is self:
                self._redact_misplaced_recipients()

    def _redact_misplaced_recipients(self) -> None:
        """Hide recipients that were set as another field by mistake; the request's validation then refuses them."""
        for name in _SHOWN_FIELDS:
            value = getattr(self, name)
            if not _has_constants(name, value) and _has_phone_number(value):
                setattr(self, name, RedactedRecipients(value))

    def _value_of(self, name: str) -> Any:
        value = getattr(self, name)
        return value.value if isinstance(value, RedactedRecipients) else value

    def _check_recipients(self, context: Context) -> ValidRecipients:
        recipients = self.hook.check_recipients(
            campaign_id=self._value_of("campaign_id"),
            recipients=self._read_recipients(context),
            default_region=self.default_region,
            validate_parameters=self.validate_parameters,
            on_invalid=self.on_invalid,
            null_values=self._value_of("null_values"),
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

        fields = {name: self._value_of(name) for name in _CSV_FIELDS}
        path = self._redacted.path
        if path and not path.lower().endswith(".json"):
            from airflow_provider_otpiq._audience.recipients_file import read_rows

            self._reads_csv = True
            try:
                return read_rows(path, **fields)
            finally:
                self._reads_csv = False
        _require_unset(fields)
        if path:
            from airflow_provider_otpiq._audience.recipients_file import read_recipients

            return read_recipients(path)
        recipients = self._redacted.value
        if isinstance(recipients, ObjectStoragePath):  # its suffix is refused
            return str(recipients)
        return call_with_context(recipients, context, self) if callable(recipients) else recipients


def _has_constants(name: str, value: object) -> bool:
    """Return whether a field may have constants of the DAG, such as the shop's phone number."""
    return name == "template_parameters" and isinstance(value, dict) and value.keys() <= _SECTIONS


def _has_phone_number(value: object) -> bool:
    from airflow_provider_otpiq._redaction import mask_phone_numbers

    try:
        text = str(value)
    except ValueError:  # an int of thousands of digits
        return True
    return mask_phone_numbers(text) != text


def _require_unset(fields: Mapping[str, object]) -> None:
    from airflow_provider_otpiq._models.fields import is_set
    from airflow_provider_otpiq._validation_errors import bullet_list

    errors = [
        f"{name}: is set, but recipients is not the path of a .csv file" for name in fields if is_set(fields[name])
    ]
    if errors:
        raise OtpiqValidationError(
            f"Nothing was sent:{bullet_list(errors)}\nRemove these fields, or set the path of a CSV file.",
            errors=errors,
        )


class AttachRecipientsOperator(_RecipientsOperator):
    r"""
    Attach recipients to a campaign that is a draft or scheduled. It sends no messages before the campaign starts.

    Every recipient is validated before anything is sent: the phone number, the values of template parameters, and
    whether those are set that the campaign's template requires, which are read from OTPIQ once. One error lists all
    invalid ones by their position, with the numbers masked. Of several rows with the same number, the first valid one
    is kept. It is idempotent: OTPIQ skips the numbers that are on the campaign already.

    Strings are cleaned as WhatsApp requires: runs of whitespace, including line breaks and tabs, become one space. A
    value that is blank or means "no value" is left out. The log counts both, and the numbers outside
    ``default_region``.

    Airflow's UI, logs and XCom show no personal data; the field shows as "1,000 recipients". But a literal list is in
    the DAG file, and in the serialized DAG of Airflow's database: set a callable or a file instead.

    XCom: ``return_value`` is the campaign's ``_id``, a string; key ``campaign`` is what OTPIQ returns of the campaign,
    a dict with at least ``_id``; key ``recipients`` is a dict of the counts ``attached``, ``already_attached``,
    ``skipped`` (invalid rows) and ``duplicates`` (further rows of a person). The first two are known only if all
    numbers were on the campaign already, and None otherwise: no documented response has them.

    Rules: https://docs.otpiq.com, *Add recipients*.

    :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters, such as the output of a
        :class:`CreateCampaignOperator`; not its ``campaignId``. (templated)
    :param recipients: 1 to 1000 recipients, in one of these forms (templated):

        - a list, an ``XComArg`` of one, or a callable that returns or yields them when the task executes, and may have
          parameters with the names of the task's context variables. Strings inside a list are data, never templates.
        - the path of a JSON file with a list of them, such as a part of a prepared audience (``…/parts/00000.json``)
        - the path of a CSV file (``.csv``, ``.csv.gz``, ``.csv.zst``), whose columns the next parameters name

        A file is read when the task executes. Its path is an absolute path or a URL, a string, a ``Path`` or an
        ``ObjectStoragePath``.

        A recipient is a dict in the API's shape, ``{"phoneNumber": "9647712345678", "templateParameters": {"body":
        {"1": "Ali"}}}``, or only a phone number if the template has no parameters. A dict may have a ``reference`` (a
        string or an int, such as a customer id), which is never sent and names the recipient in errors and logs. A
        number may be written as ``+964 771…``, ``00964771…``, ``0771…`` or ``964771…``, with spaces and in Arabic
        digits. A value of ``templateParameters`` is a string, a number, a bool or missing; those of ``header`` and
        ``buttons`` may be nested, such as ``{"buttons": {"0": {"1": "A-1042"}}}``.
    :param phone_number: the column of the phone number in a CSV file, which requires it. An error for other
        ``recipients``, as are the next four. (templated)
    :param template_parameters: the column of each template parameter in a CSV file, ``{"body": {"1": "first_name"}}``,
        or a constant, ``{"body": {"1": {"value": "Ramadan"}}}``. None by default. If it is set and renders to an empty
        value, that is an error. (templated)
    :param reference: a column of a CSV file that names the row in errors and logs. None by default. (templated)
    :param delimiter: the character between the values of a CSV file, a comma by default. (templated)
    :param encoding: the encoding of a CSV file, by default UTF-8 with or without a byte order mark. If it is set and
        renders to an empty value, that is an error. (templated)
    :param default_region: the country of numbers like ``0771…``, two letters, ``IQ`` by default.
    :param validate_parameters: whether to check the template's required parameters, True by default; False saves the
        call.
    :param on_invalid: ``fail``, the default, sends nothing if any recipient is invalid; ``skip`` attaches the others,
        reads at most 100,000 rows, and logs which are left out (at most 100) and why. A row of a CSV file that cannot
        be read is always an error.
    :param null_values: a list of strings that mean "no value" as the value of a template parameter, compared with the
        whole cleaned text. It replaces the default list: what ``pandas.read_csv`` reads as missing (``NULL``, ``nan``,
        ``N/A``, …), ``\N``, ``none``, ``undefined``, and errors of spreadsheets such as ``#REF!``. None, the default,
        is that list; with an empty list only blank text means "no value", as for a part of an audience that was
        prepared with another list. If it is set and renders to an empty string or None, that is an error. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param retry_policy: whether and when Airflow 3.3+ retries the task,
        :class:`~airflow_provider_otpiq.retry_policy.OtpiqRetryPolicy` by default; None leaves it to ``retries``
        and ``retry_delay``. Ignored before Airflow 3.3.
    """

    def execute(self, context: Context) -> str:
        """
        Attach the recipients.

        :param context: the task's context.
        :return: the campaign's ``_id``.
        :raises OSError: if a CSV file does not exist or cannot be read.
        :raises OtpiqError: as :meth:`.OtpiqHook.check_recipients` and :meth:`.OtpiqHook.attach_recipients`.
        :raises OtpiqValidationError: also, after the request, if the campaign now has more recipients than the
            connection's ``max_recipients``.
        """
        recipients = self._check_recipients(context)
        campaign = self.hook.attach_recipients(campaign_id=self.campaign_id, recipients=recipients)
        if campaign.attached == 0:
            self.log.info("Campaign %s already had all of these recipients: %d.", campaign["_id"], len(recipients))
        else:
            total = f", which now has {campaign['totalRecipients']}" if "totalRecipients" in campaign else ""
            self.log.info("Attached %s to campaign %s%s.", _count_of(recipients), campaign["_id"], total)
        if self.do_xcom_push:
            counts = {
                "attached": campaign.attached,
                "already_attached": campaign.already_attached,
                "skipped": recipients.skipped,
                "duplicates": recipients.duplicates,
            }
            context["ti"].xcom_push(key="recipients", value=counts)
        return self._push(context, campaign)


def _count_of(recipients: ValidRecipients) -> str:
    from airflow_provider_otpiq._redaction import describe_count

    return describe_count(len(recipients), "recipient")


class SendSampleOperator(_RecipientsOperator):
    """
    Send a campaign's message to a few people immediately, such as the team. It costs money.

    OTPIQ creates a separate campaign for it and does not change this one. It is sent at most once: see
    :class:`.StartCampaignOperator`. Airflow 3.3+ saves the campaign, not the recipients, so a cleared task does not
    send a sample of the same campaign again, not even to other recipients; ``durable=False`` does.

    XCom: ``return_value`` is the sample campaign's ``_id``, a string; key ``campaign`` is the sample campaign, a dict,
    whose ``sampleOfCampaign`` is the other's id.

    Rules: https://docs.otpiq.com, *Send sample*.

    :param campaign_id: the ``_id`` of the campaign to send a sample of, 24 hexadecimal characters. (templated)
    :param recipients: the people who get it, as for :class:`AttachRecipientsOperator`. (templated)
    :param phone_number: as for :class:`AttachRecipientsOperator`. (templated)
    :param template_parameters: as for :class:`AttachRecipientsOperator`. (templated)
    :param reference: as for :class:`AttachRecipientsOperator`. (templated)
    :param delimiter: as for :class:`AttachRecipientsOperator`. (templated)
    :param encoding: as for :class:`AttachRecipientsOperator`. (templated)
    :param default_region: as for :class:`AttachRecipientsOperator`.
    :param validate_parameters: as for :class:`AttachRecipientsOperator`.
    :param on_invalid: as for :class:`AttachRecipientsOperator`.
    :param null_values: as for :class:`AttachRecipientsOperator`. (templated)
    :param otpiq_conn_id: the Airflow connection, ``otpiq_default`` by default. (templated)
    :param durable: whether to save state for a later try, True by default. Before Airflow 3.3 there is no store for
        it.
    :param retry_policy: as for :class:`AttachRecipientsOperator`.
    """

    def __init__(self, *, durable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.durable = durable

    def execute(self, context: Context) -> str:
        """
        Send the sample, unless an earlier try of this task instance has sent it.

        :param context: the task's context.
        :return: the sample campaign's ``_id``.
        :raises OSError: if a CSV file does not exist or cannot be read.
        :raises OtpiqError: as :meth:`.OtpiqHook.check_recipients` and :meth:`.OtpiqHook.send_sample`.
        :raises OtpiqOutcomeUnknownError: if whether the sample was sent is unknown.
        """
        state = AtMostOnce(context, "sample", self.campaign_id, durable=self.durable)
        if sample := state.previous_result():
            self.log.info(
                "An earlier try sent sample %s of campaign %s; this try sent nothing.", sample["_id"], self.campaign_id
            )
        else:
            recipients = self._check_recipients(context)
            sample = state.run_once(
                lambda: documented_fields(
                    self.hook.send_sample(campaign_id=self.campaign_id, recipients=recipients, pending_marker=state)
                )
            )
            self.log.info(
                "Sent sample %s of campaign %s to %s; skipped rows: %d, duplicates: %d.",
                sample["_id"],
                self.campaign_id,
                _count_of(recipients),
                recipients.skipped,
                recipients.duplicates,
            )
        return self._push(context, sample)
