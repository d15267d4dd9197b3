"""The connection form's own fields as Airflow before 3.2 draws them; later ones read the provider info."""

from __future__ import annotations

from typing import Any

from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS


def widgets() -> dict[str, Any]:
    """Make the fields. Needs Flask-AppBuilder, which only Airflow 2 has."""
    return {name: _widget(field) for name, field in CONNECTION_FIELDS.items()}


def _widget(field: dict[str, Any]) -> Any:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import BooleanField, IntegerField, StringField
    from wtforms.validators import Optional

    schema = field["schema"]
    labels = {"label": field["label"], "description": field["description"]}
    if "boolean" in schema["type"]:
        return BooleanField(**labels, default=schema["default"])
    shape = {"validators": [Optional()], "widget": BS3TextFieldWidget()}
    if "integer" in schema["type"]:
        return IntegerField(**labels, **shape, default=schema["default"])
    default = schema["default"]
    return StringField(**labels, **shape, default=None if default is None else str(default))
