"""Recipients in a template field, which Airflow must not show, and callables in it, which Airflow must not call."""

from __future__ import annotations

import inspect
import re
from collections import ChainMap
from collections.abc import Sized
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import BaseOperator, Context

_FILE = re.compile(r"\S.*\.(json|csv(\.(gz|zst))?)", re.IGNORECASE)
_CAN_BE_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class RedactedRecipients:
    """Recipients in a rendered template field: Airflow stores and shows their count, without personal data."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def render(self, render: Callable[[Any], Any]) -> None:
        """
        Render a string or a path, and resolve XComArgs, also inside collections.

        A string inside a collection is a person's data, never a template. A callable is called when the task executes.
        """
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        if not callable(self.value):
            is_template = isinstance(self.value, str | ObjectStoragePath)
            self.value = render(self.value) if is_template else _resolve_xcom_args(self.value, render)

    @property
    def path(self) -> str | None:
        """The local path or URL of the file of recipients, if the field is one."""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        path = str(self.value) if isinstance(self.value, str | PathLike | ObjectStoragePath) else ""
        return path if _FILE.fullmatch(path) else None

    def __str__(self) -> str:
        from airflow_provider_otpiq._redaction import describe_count, hide_password, name_of_callable

        if self.path:
            return f"the recipients in {hide_password(self.path)}"
        if callable(self.value):
            return f"the recipients of {name_of_callable(self.value)}"
        if isinstance(self.value, Sized) and not isinstance(self.value, str | bytes):
            return describe_count(len(self.value), "recipient")
        return f"recipients as a {type(self.value).__name__}"


def _resolve_xcom_args(value: Any, resolve: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve_xcom_args(item, resolve) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_resolve_xcom_args(item, resolve) for item in value]
    return resolve(value) if hasattr(value, "iter_references") else value  # a method of Airflow's mixin


def call_with_context(function: Callable[..., Any], context: Context, operator: BaseOperator) -> Any:
    """Call a function with the variables of the task's context that are among its parameters."""
    # Airflow itself passes these two to a callable in a template field.
    available = ChainMap(
        {"context": context, "jinja_env": operator.get_template_env()}, cast("dict[str, Any]", context)
    )
    parameters = inspect.signature(function).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind in _CAN_BE_NAMED}
    wanted = available if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) else named
    bound = getattr(function, "keywords", {})  # arguments of a partial
    return function(**{name: available[name] for name in available if name in wanted and name not in bound})
