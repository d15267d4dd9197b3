"""The connection form of Airflow before 3.2, which calls the hook for it; later versions read the provider info."""

from __future__ import annotations

from typing import Any

from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR


def field_behaviour() -> dict[str, Any]:
    """Describe the connection form, with the names that these versions use."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}


def widgets() -> dict[str, Any]:
    """Create a WTForms field for each extra. Needs Flask-AppBuilder, which only Airflow 2 has."""
    return {name: _widget(field) for name, field in CONNECTION_FIELDS.items()}


def _widget(field: dict[str, Any]) -> Any:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import BooleanField, IntegerField, StringField
    from wtforms.validators import Optional

    schema = field["schema"]
    labels = {"label": field["label"], "description": field["description"]}
    if "boolean" in schema["type"]:
        return BooleanField(**labels, default=schema["default"])
    field_class = IntegerField if "integer" in schema["type"] else StringField
    return field_class(**labels, default=schema["default"], validators=[Optional()], widget=BS3TextFieldWidget())
