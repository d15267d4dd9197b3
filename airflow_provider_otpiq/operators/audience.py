"""The operator that prepares an audience of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_otpiq.operators._recipients import RedactedRecipients, call_with_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_otpiq.operators._base import Text

    Source = str | PathLike[str] | Sequence[str] | XComArg | Callable[..., Iterable[Mapping[str, Any]]]

_SOURCES = ("source", "suppress")


class PrepareAudienceOperator(BaseOperator):
    """Prepare."""

    template_fields: Sequence[str] = (
        "source",
        "phone_number",
        "template_parameters",
        "reference",
        "suppress",
        "suppress_phone_number",
        "output_folder",
        "max_rejected",
        "default_region",
        "file_format",
        "delimiter",
        "encoding",
        "memory_limit",
    )
    ui_color = "#d7f5e3"

    def __init__(
        self,
        *,
        source: Source,
        phone_number: Text,
        output: Text | PathLike[str],
        template_parameters: Mapping[str, Mapping[str, str | Mapping[str, str]]] | XComArg | None = None,
        reference: Text | None = None,
        suppress: Source | None = None,
        suppress_phone_number: Text | None = None,
        max_rejected: float | Text | None = None,
        default_region: Text = "IQ",
        file_format: Text | None = None,
        delimiter: Text = ",",
        encoding: Text = "utf-8",
        memory_limit: Text = "256MB",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.phone_number = phone_number
        self.output_folder = output
        self.template_parameters = template_parameters
        self.reference = reference
        self.suppress: Any = suppress
        self.suppress_phone_number = suppress_phone_number
        self.max_rejected = max_rejected
        self.default_region = default_region
        self.file_format = file_format
        self.delimiter = delimiter
        self.encoding = encoding
        self.memory_limit = memory_limit

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        # Airflow would call a callable before the task executes, and show what it holds.
        if parent is self:
            for name in _SOURCES:
                if callable(value := getattr(self, name)):
                    setattr(self, name, RedactedRecipients(value))
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def execute(self, context: Context) -> str:
        """
        Prepare the audience.

        :param context: the task's context.
        :return: the manifest's local path or URL.
        :raises OSError: if a source cannot be read, or the output cannot be written.
        :raises OtpiqValidationError: if a field, a source or too many rows are wrong, if nobody is left, or if the
            audience has campaigns and would be another one.
        """
        from airflow_provider_otpiq._audience.prepare import prepare
        from airflow_provider_otpiq._audience.request import AudienceRequest

        fields = {name: getattr(self, name) for name in self.template_fields if name != "output_folder"}
        sources = {name: self._source(fields[name], context) for name in _SOURCES}
        audience = prepare(AudienceRequest.parse(**(fields | sources), output=self.output_folder))
        counts = audience.manifest.counts.model_dump() | {"parts": len(audience.manifest.parts)}
        self.log.info("Prepared %s: %s.", audience.location, ", ".join(f"{n:,} {name}" for name, n in counts.items()))
        if self.do_xcom_push:
            context["ti"].xcom_push(key="audience", value=counts)
        return audience.location

    def _source(self, source: Any, context: Context) -> Any:
        function = source.value if isinstance(source, RedactedRecipients) else source
        if not callable(function):
            return source

        def read() -> Any:
            return call_with_context(function, context, self)

        read.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)  # for the manifest
        return read
