"""What the events of a task's assets say, so that other DAGs can be scheduled on them and read what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import BaseOperator, Context


def add_to_asset_events(operator: BaseOperator, context: Context, facts: Mapping[str, Any]) -> None:
    """
    Add facts to the ``extra`` of the events that Airflow makes for the task's outlets if it succeeds.

    What a user has put there under the same name is kept. An ``AssetAlias`` is left to the user, who says which assets
    it stands for.

    :param operator: whose outlets these are.
    :param context: the task's context.
    :param facts: what to say; nothing of a person, as other DAGs and the UI show it.
    """
    if not operator.outlets:
        return
    from airflow.providers.common.compat.sdk import Asset  # a Dataset on Airflow 2

    for outlet in operator.outlets:
        if isinstance(outlet, Asset):
            event = context["outlet_events"][outlet]
            event.extra = {**facts, **event.extra}
