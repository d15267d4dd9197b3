"""Fields that must not count as "not set" if they render to an empty value: other people would get the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.providers.common.compat.sdk import Context


class KeepsLostFields:
    """An operator that refuses some fields if they were set and render to None."""

    never_lost: ClassVar[tuple[str, ...]]
    """The names of these fields: those of its request's ``never_blank``."""

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Context, jinja_env: Any, seen_oids: set[int]
    ) -> None:
        were_set = [name for name in self.never_lost if parent is self and _is_set(parent, name)]
        super()._do_render_template_fields(  # type: ignore[misc]
            parent, template_fields, context, jinja_env, seen_oids
        )
        for name in were_set:
            if getattr(self, name) is None:  # an XCom that is not there, or native rendering
                setattr(self, name, "")


def _is_set(operator: object, name: str) -> bool:
    """Tell whether the DAG sets a field; of a mapped task, None is what its mapping gave, which may be an XCom."""
    own = vars(operator)
    is_mapped = own.get("_BaseOperator__from_mapped", False) and name in own.get("_BaseOperator__init_kwargs", ())
    return getattr(operator, name) is not None or is_mapped
