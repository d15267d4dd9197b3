"""The operator that prepares an audience of any size."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_otpiq.operators._base import (
    ExitsOnKill,
    RejectsEmptyFields,
    add_to_asset_events,
    names_of_template_fields,
)
from airflow_provider_otpiq.operators._redacted import RedactedRecipients, call_with_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_otpiq._audience.manifest import Audience
    from airflow_provider_otpiq._audience.output import MappedTask
    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq.operators._base import Text

    Source = str | PathLike[str] | Sequence[str | PathLike[str]] | Callable[..., Iterable[Mapping[str, Any]]]

__all__ = ["PrepareAudienceOperator"]

_SOURCES = ("source", "suppress")


class PrepareAudienceOperator(ExitsOnKill, RejectsEmptyFields, BaseOperator):
    """
    Prepare an audience of any size: read its rows, and divide those who may be messaged into parts of at most 1000.

    A row is *rejected* if it cannot be read, its number is not a valid phone number, or a template parameter has no
    value. It is *suppressed* if its number is on the suppression list, and a *duplicate* if an earlier row that is not
    rejected has the same number. The others are recipients, in the order of the rows. Numbers are normalized as by
    :class:`.AttachRecipientsOperator` before they are compared. Blank rows, such as ``,,``, are ignored.

    Values of template parameters are sent as WhatsApp accepts them: each run of whitespace becomes one space, and the
    ends are stripped. A whole float is written without ``.0``. A time with a timezone, a duration, a nested value or a
    float in scientific notation is an error: write it as a string in the source, as it should be sent. Parquet stores
    a duration as an integer: it is recognized by the notes of pandas, and sent as that integer without them.

    **A follow-up** has no source: it is an audience of people whose message has one of ``follow_up_statuses`` in a
    delivery report, with the parameters and the reference that they have in ``audience``, and in its order. Each
    person is one row. It is *suppressed* if the person has several messages in the report (which one is about
    ``audience`` is unknown), if the error reason contains one of ``exclude_reasons``, or by ``suppress``. A report
    with a person who is not in ``audience`` is an error, and so is one that was limited by ``statuses`` or that a
    version before 0.9.0 has written: it does not show whether a person has other messages. ``source``,
    ``phone_number``, ``template_parameters``, ``reference`` and ``group_by`` cannot be combined with it. ``delimiter``,
    ``encoding``, ``file_format``, ``null_values`` and ``default_region`` then apply to ``suppress`` only.

    If ``suppress``, ``suppress_phone_number``, ``follow_up``, ``audience``, ``follow_up_statuses``,
    ``exclude_reasons``, ``max_rejected``, ``template_parameters``, ``default_region``, ``encoding``, ``null_values`` or
    ``group_by`` is set and renders to an empty value (``None``, a blank string, an empty list or dict; but ``[]`` is a
    value of ``null_values``), or a mapping gives ``None``, that is an error, unlike for other fields: other people
    would get the message, or another message.

    It writes ``parts/00000.json`` and so on, ``excluded.csv`` and last ``manifest.json`` to ``output``. The same input
    gives the same bytes. Before a campaign is created from the audience, another run replaces it. Afterwards the same
    input only restores parts that were lost or edited, and different input is an error.

    ``excluded.csv`` lists each row that gets no message, without its number: ``row`` (counted from 1 over all files),
    ``reference``, ``outcome`` (``rejected``, ``suppressed`` or ``duplicate``), ``reason`` of a rejected row and of one
    that a follow-up suppresses by the report, and of a duplicate ``kept_row`` and ``kept_reference``, the row of the
    same person that is a recipient.

    ``group_by`` divides the recipients by the values of a column, such as a language, into at most 100 groups. Rows are
    classified over all groups, so a person is in one: that of the row that is kept. Each group has a ``manifest.json``
    and ``parts`` in ``<output>/<group>``, and its own counts, of the rows that name it. ``excluded.csv`` stays one. In
    the folder's name, all but ASCII letters, digits, ``-`` and ``_`` is percent-encoded. A row without a group is
    rejected. It is an error if two groups differ only in case, or if a group may be a phone number. The groups are one
    audience: once one of them has campaigns, none of them changes.

    It needs the extra ``audience`` (``pip install 'airflow-provider-otpiq[audience]'``), but no connection to OTPIQ.
    Only ``output`` contains personal data: no log, XCom, rendered field, or temporary file after the task does. The
    names of groups are shown there, so they must not be personal data.

    XCom: ``return_value`` is the manifest's local path or URL. With ``group_by``, it is a list of ``{"group": "ar",
    "manifest": "…", "recipients": 1200}`` in the order of the groups, for ``expand``. Key ``audience`` is a dict of the
    counts ``rows``, ``recipients``, ``duplicates``, ``suppressed``, ``rejected`` and ``parts``, of all groups; ``rows``
    is the sum of the next four.

    :param source: the rows. Paths or URLs of CSV, JSON Lines or Parquet files, plain or compressed (``.gz``, ``.zst``),
        that ``ObjectStoragePath`` reaches: one, a glob (its files are read in the order of their names), or a list of
        them. ``s3://conn_id@bucket/key`` names an Airflow connection. Or a callable that returns or yields dicts when
        the task executes, and may take variables of the task's context by their names. Required unless ``follow_up`` is
        set. (templated)
    :param phone_number: the column of the phone number, in any spelling that :class:`.AttachRecipientsOperator`
        accepts. Required unless ``follow_up`` is set. (templated)
    :param output: the folder of the audience, a local path or URL, which nothing else should write to. Each instance
        of a mapped task needs its own, such as ``…/{{ run_id }}/{{ ti.map_index }}``; two in one folder are an error.
        The attribute and template field is ``output_folder``, as Airflow's ``output`` is the task's XCom. (templated)
    :param template_parameters: the column of each template parameter, ``{"body": {"1": "first_name"}}``, or a
        constant, ``{"body": {"1": {"value": "Ramadan"}}}``. Those of a button are one level deeper:
        ``{"buttons": {"0": {"1": "link"}}}``. Values are sent as strings. None by default. (templated)
    :param reference: a column that names the row in every output, such as a customer id. It is never sent. None by
        default. (templated)
    :param suppress: people who must not be messaged, in the same forms as ``source``; None by default. A number that
        cannot be read is an error. A blank one is ignored, with a warning in the log. (templated)
    :param suppress_phone_number: the column of the phone number in ``suppress``, by default as in ``source``.
        Required with ``follow_up`` and ``suppress``. (templated)
    :param follow_up: the local path or URL of the file that a :class:`.DeliveryReportOperator` has written, ending in
        ``.parquet`` or ``.csv``: the audience is then of people in that report. None by default. (templated)
    :param audience: the local path or URL of the manifest of the audience that ``follow_up`` is about, whose parts must
        still exist. Required with ``follow_up``; None by default. (templated)
    :param follow_up_statuses: the people of ``follow_up``, by the status of their message: ``pending``, ``sent``,
        ``delivered``, ``read``, ``failed``, and ``unmatched`` for those in ``audience`` without a message, which needs
        a report with the broadcast that contains messages from each campaign; one or a list. ``["failed"]`` by default.
        (templated)
    :param exclude_reasons: leave out people whose error reason contains one of these strings, in any case; one or a
        list. None by default. (templated)
    :param max_rejected: how many rows may be rejected: a count (an int) or a share of all rows (a float from 0.0 to
        1.0), 0.05 by default. More is an error that counts them by reason; 1.0 sets no limit. (templated)
    :param default_region: the country of numbers like ``0771…``, two letters, ``IQ`` by default. Others take longer.
        (templated)
    :param file_format: ``csv``, ``jsonl`` or ``parquet`` for all files; None, the default, is by the suffix of each.
        (templated)
    :param delimiter: the character between the values of CSV, a comma by default. (templated)
    :param encoding: the encoding of CSV and JSON Lines, by default UTF-8 with or without a byte order mark. (templated)
    :param null_values: the strings that mean "no value" beside blank text, compared by case; a row with one of them as
        a template parameter is rejected. By default those that pandas reads as missing, such as ``NULL`` and ``n/a``,
        and those of other programs, such as ``undefined`` and ``#REF!``. With an empty list only blank text means "no
        value". (templated)
    :param memory_limit: the memory that DuckDB may use beside Python's own, ``256MB`` by default; what does not fit
        goes to a temporary folder that only the task can read. (templated)
    :param group_by: the column of each row's group, at most 200 characters long as the name of a folder. Whitespace in
        its values is cleaned like that of template parameters. None, the default, makes one audience. It is an error if
        it is set and renders to an empty value. (templated)
    """

    required_if_set = (
        "suppress",
        "suppress_phone_number",
        "follow_up",
        "audience",
        "follow_up_statuses",
        "exclude_reasons",
        "max_rejected",
        "template_parameters",
        "default_region",
        "encoding",
        "null_values",
        "group_by",
    )
    ui_color = "#d7f5e3"
    max_rejected: Any
    output_folder: Any
    _prepared: tuple[AudienceRequest, list[Audience]] | None = None

    def __init__(
        self,
        *,
        source: Source | XComArg | None = None,
        phone_number: Text | None = None,
        output: Text | PathLike[str],
        template_parameters: Mapping[str, Mapping[str, str | Mapping[str, str]]] | XComArg | None = None,
        reference: Text | None = None,
        suppress: Source | XComArg | None = None,
        suppress_phone_number: Text | None = None,
        follow_up: Text | None = None,
        audience: Text | None = None,
        follow_up_statuses: Sequence[str] | XComArg | None = None,
        exclude_reasons: Sequence[str] | XComArg | None = None,
        max_rejected: float | Text | None = 0.05,
        default_region: Text = "IQ",
        file_format: Text | None = None,
        delimiter: Text = ",",
        encoding: Text = "utf-8",
        null_values: Sequence[str] | XComArg | None = None,
        memory_limit: Text = "256MB",
        group_by: Text | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = {**locals(), "output_folder": output}
        super().__init__(**kwargs)
        for name in arguments.keys() & {*self.template_fields}:
            setattr(self, name, arguments[name])

    template_fields: Sequence[str] = tuple(
        "output_folder" if name == "output" else name
        for name in names_of_template_fields(__init__)
        if name != "otpiq_conn_id"
    )

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        if parent is self:
            for name in (*_SOURCES, "output_folder"):
                if isinstance(value := getattr(self, name), PathLike | list | tuple):
                    setattr(self, name, _without_path_objects(value))
            self._redact_sources(_is_template)  # Airflow would call a callable before the task executes
        try:
            super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        finally:
            if parent is self:
                self._redact_sources(_is_shown)

    def _redact_sources(self, is_kept: Callable[[Any], bool]) -> None:
        """Wrap what Airflow must not render or show: callables, rows and phone numbers."""
        for name in _SOURCES:
            if not is_kept(value := getattr(self, name)) and not isinstance(value, RedactedRecipients):
                setattr(self, name, RedactedRecipients(value))

    def execute(self, context: Context) -> str | list[dict[str, Any]]:
        """
        Prepare the audience.

        :param context: the task's context.
        :return: the manifest's local path or URL; with ``group_by``, a list of the groups.
        :raises OSError: if a source cannot be read, or the output cannot be written.
        :raises OtpiqValidationError: if a field or a source is wrong, if too many rows are rejected, if no recipient
            is left, if there are too many groups, or if the audience has campaigns and would change.
        """
        from airflow_provider_otpiq._audience.follow_up import parse_request
        from airflow_provider_otpiq._audience.prepare import prepare
        from airflow_provider_otpiq._storage import absolute

        fields = {name: getattr(self, name) for name in self.template_fields if name != "output_folder"}
        sources = {name: self._source(fields[name], context) for name in _SOURCES}
        request = parse_request(**(fields | sources), output=self.output_folder)
        counts, audiences = prepare(request, self._mapped_task(context, request))
        self._prepared = request, list(audiences.values())
        values = counts.model_dump() | {"parts": sum(len(audience.manifest.parts) for audience in audiences.values())}
        self.log.info("Prepared %s: %s.", request.output, ", ".join(f"{n:,} {name}" for name, n in values.items()))
        if self.do_xcom_push:
            context["ti"].xcom_push(key="audience", value=values)
        if undivided := audiences.get(None):
            add_to_asset_events(self, context, values | {"audience": absolute(undivided.location)})
            return undivided.location
        groups = [
            {"group": group, "manifest": audience.location, "recipients": audience.manifest.counts.recipients}
            for group, audience in audiences.items()
        ]
        add_to_asset_events(self, context, values | {"groups": groups})
        return groups

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """
        Report to OpenLineage, if its Airflow provider is installed, from which files the audience was prepared.

        :param task_instance: the task instance that has ended.
        :return: the files and the audience.
        """
        from airflow_provider_otpiq.operators._lineage import audience_lineage

        return audience_lineage(self._prepared)

    def _mapped_task(self, context: Context, request: AudienceRequest) -> MappedTask | None:
        from airflow_provider_otpiq._audience.output import MappedTask

        ti = context["ti"]
        if ti.map_index is None or ti.map_index < 0:
            return None
        return MappedTask(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=ti.map_index,
            request_checksum=request.checksum,
        )

    def _source(self, source: Any, context: Context) -> Any:
        function = source.value if isinstance(source, RedactedRecipients) else source
        if not callable(function):
            return function

        from airflow_provider_otpiq._redaction import name_of_callable

        def read() -> Any:
            return call_with_context(function, context, self)

        read.__qualname__ = name_of_callable(function)  # for the manifest
        return read


def _is_template(value: Any) -> bool:
    """Return whether Airflow may render a source: a path, an XComArg, or a list of these."""
    if isinstance(value, list):
        return all(map(_is_template, value))
    return value is None or isinstance(value, str) or hasattr(value, "iter_references")


def _is_shown(value: Any) -> bool:
    """Return whether a rendered source may be shown: it is blank, or names files without a password."""
    from airflow_provider_otpiq._audience.request import is_path
    from airflow_provider_otpiq._redaction import hide_password

    values = value if isinstance(value, list | tuple) else [value]
    return all(
        item is None or (isinstance(item, str) and hide_password(item) == item and (is_path(item) or not item.strip()))
        for item in values
    )


def _without_path_objects(value: Any) -> Any:
    """Convert paths to strings: Airflow 3.0 mistakes their ``resolve`` for an XCom's, and calls it with the context."""
    if isinstance(value, PathLike):
        return str(value)
    return list(map(_without_path_objects, value)) if isinstance(value, list | tuple) else value
