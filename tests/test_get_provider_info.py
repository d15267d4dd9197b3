import json
from importlib.metadata import entry_points, metadata
from importlib.resources import files
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from tests.conftest import AIRFLOW_VERSION


def airflow_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(files("airflow").joinpath(name).read_text())
    return schema


def test_airflow_finds_it_by_the_entry_point_and_the_distributions_own_name() -> None:
    (found,) = entry_points(group="apache_airflow_provider", module="airflow_provider_otpiq.get_provider_info")
    assert found.load() is get_provider_info
    assert found.dist is not None
    assert get_provider_info()["package-name"] == found.dist.name == metadata("airflow-provider-otpiq")["Name"]


def test_it_keeps_airflows_schema() -> None:
    jsonschema.validate(get_provider_info(), airflow_schema("provider_info.schema.json"))


@pytest.mark.skipif(AIRFLOW_VERSION.major < 3, reason="this schema knows conn-fields from Airflow 3 on")
def test_the_connection_type_keeps_the_stricter_schema() -> None:
    schema = airflow_schema("provider.yaml.schema.json")
    connection_types = schema["properties"]["connection-types"] | {"definitions": schema.get("definitions", {})}
    jsonschema.validate(get_provider_info()["connection-types"], connection_types)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"connection-type": "otpiq", "conn-fields": {"x": 5}}], connection_types)


def test_the_form_has_every_setting_with_its_default_and_limits() -> None:
    settings = ConnectionSettings.model_fields | GuardRails.model_fields
    assert set(CONNECTION_FIELDS) == set(settings) - {"host", "password", "extra"}
    for name, field in CONNECTION_FIELDS.items():
        schema: Any = field["schema"]
        assert schema["default"] == settings[name].default
        for kind, bound in (("minimum", "ge"), ("maximum", "le")):
            limits = [getattr(limit, bound) for limit in settings[name].metadata if hasattr(limit, bound)]
            assert limits == ([schema[kind]] if kind in schema else []), name


def test_airflow_before_3_2_gets_the_same_form_from_the_hook() -> None:
    behaviour = OtpiqHook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert "port" not in behaviour["hidden_fields"]


@pytest.mark.skipif(AIRFLOW_VERSION.major > 2, reason="no WTForms here")
def test_airflow_2_draws_the_same_fields() -> None:
    widgets = OtpiqHook.get_connection_form_widgets()
    assert list(widgets) == list(CONNECTION_FIELDS)
    from airflow.providers_manager import ProvidersManager

    drawn = ProvidersManager().connection_form_widgets  # type: ignore[no-untyped-call]
    for name, field in CONNECTION_FIELDS.items():
        arguments = drawn[f"extra__otpiq__{name}"].field.kwargs
        assert (arguments["label"], arguments["description"]) == (field["label"], field["description"])
        schema: Any = field["schema"]
        assert arguments["default"] in (schema["default"], str(schema["default"]))
