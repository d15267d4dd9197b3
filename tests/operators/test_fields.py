"""The fields of all operators: which must not be empty, what is wrong, and where those of a create are listed."""

import inspect
import re
from datetime import timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.follow_up import FollowUpRequest
from airflow_provider_otpiq._audience.request import AudienceRequest, Columns
from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast
from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq._recipients.requests import RecipientsRequest
from airflow_provider_otpiq._report.request import AwaitDeliveryRequest, ReportRequest
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.schemas import CreateCampaignRequest, UpdateCampaignRequest
from airflow_provider_otpiq.sensors.report import DeliverySensor
from dev.local_airflow import EXAMPLE_DAGS, REPOSITORY
from tests.broadcast.people import TEMPLATE
from tests.operators.broadcasts import Run
from tests.operators.reports import WINDOW

REQUESTS: dict[Any, Any] = {
    PrepareAudienceOperator: [AudienceRequest, FollowUpRequest],
    CreateBroadcastOperator: [CreateBroadcast],
    StartBroadcastOperator: [StartBroadcast],
    DeliveryReportOperator: [ReportRequest],
    DeliverySensor: [AwaitDeliveryRequest],
    AttachRecipientsOperator: [Columns, RecipientsRequest],
    SendSampleOperator: [Columns, RecipientsRequest],
}
OF_A_FILE = {
    "campaign_id": "6" * 24,
    "recipients": str(EXAMPLE_DAGS / "team.csv"),
    "phone_number": "phone",
    "template_parameters": {"body": {"1": "name"}},
}
OTHERS = [CreateCampaignOperator, UpdateCampaignOperator, StartCampaignOperator]
REQUIRED: dict[Any, dict[str, Any]] = {
    PrepareAudienceOperator: {"source": "people.csv", "phone_number": "phone", "output": "/audience"},
    CreateBroadcastOperator: {"audience": "/audience/manifest.json", "name": "Summer", **TEMPLATE},
    StartBroadcastOperator: {"broadcast": "/ledger"},
    DeliveryReportOperator: {"destination": "/report.csv"},
    DeliverySensor: {"broadcast": "/ledger"},
    AttachRecipientsOperator: OF_A_FILE,
    SendSampleOperator: OF_A_FILE,
}
FIELDS = [(operator, field) for operator in REQUIRED for field in operator.required_if_set]
TEMPLATED = [(operator, field) for operator, field in FIELDS if field in operator.template_fields]


@pytest.mark.parametrize("operator", REQUESTS)
def test_the_fields_are_those_of_the_request(operator: Any) -> None:
    required = {name for request in REQUESTS[operator] for name in request.required_if_set}
    assert required & set(operator.template_fields) <= set(operator.required_if_set) <= required
    assert Columns not in REQUESTS[operator] or Columns.model_fields.keys() <= set(operator.template_fields)
    for request in REQUESTS[operator]:
        assert request.required_if_set.keys() <= request.model_fields.keys()


EMPTY = ["{{ none }}", "{{ '' }}", "None", " ", "{{ ti.xcom_pull(task_ids='strat') }}"]
EACH_FIELD = [(operator, field, EMPTY[0]) for operator, field in TEMPLATED]
OF_EACH_TYPE = [
    (PrepareAudienceOperator, "max_rejected"),
    (StartBroadcastOperator, "scheduled_for"),
    (DeliveryReportOperator, "message_types"),
    (AttachRecipientsOperator, "null_values"),
    (AttachRecipientsOperator, "template_parameters"),
]
EACH_EMPTY_VALUE = [(*field, empty) for field in OF_EACH_TYPE for empty in EMPTY[1:]]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("operator", "field", "empty"), [*EACH_FIELD, *EACH_EMPTY_VALUE])
def test_a_field_that_is_set_must_not_render_to_an_empty_value(
    context: dict[str, Any], sandbox: Sandbox, operator: Any, field: str, empty: str, *, native: bool
) -> None:
    context["ti"].xcom_pull = lambda **_: None
    context["dag"].render_template_as_native_obj = native  # then the field becomes Python's None, as by an XCom
    error = Run(operator, context, REQUIRED[operator]).fail(**{field: empty})
    assert [each.partition(",")[0] for each in error.errors if each.startswith(f"{field}: ")] == [
        f"{field}: is set and rendered to an empty value"
    ]
    assert not sandbox.requests


@pytest.mark.parametrize(("operator", "field"), FIELDS)
def test_a_field_that_a_mapping_leaves_empty_is_an_error(context: dict[str, Any], operator: Any, field: str) -> None:
    fields = {name: value for name, value in REQUIRED[operator].items() if name != field}
    mapped = operator.partial(task_id="task", dag=context["dag"], **fields).expand(**{field: [None, "x"]})
    run = Run(lambda **_: mapped.unmap({field: None}), context, {})
    assert f"{field}: is set and rendered to an empty value" in str(run.fail())


HOUR = timedelta(hours=1)
NO_BROADCAST = {"broadcast": None, **WINDOW}
WRONG: dict[Any, list[tuple[str, dict[str, Any]]]] = {
    PrepareAudienceOperator: [("suppress", {"suppress": ["{{ none }}"]})],
    CreateBroadcastOperator: [
        ("shard", {"shard": 2, "shards": 2}),
        ("shard", {"shards": 2}),
        ("shard", {"shards": "2", "shard": "None"}),
        ("shards", {"shards": 0}),
        ("shards", {"shards": "two"}),
        ("name", {"name": None}),
        ("audience", {"audience": ""}),
        ("template_id", {"template_name": None, "template_language": None}),
        ("audience", {"audience": "/usr"}),
        ("audience", {"audience": "/nowhere/manifest.json"}),
        ("ledger", {"ledger": "ledgers/summer"}),
    ],
    StartBroadcastOperator: [
        ("lead_time", {"lead_time": timedelta(seconds=30)}),
        ("lead_time", {"lead_time": 600}),
        ("max_delay", {"max_delay": timedelta(minutes=-1)}),
        ("scheduled_for", {"scheduled_for": "tomorrow"}),
        ("check_health", {"check_health": "maybe"}),
        ("check_health", {"check_health": 2}),
        ("broadcast", {"broadcast": None}),
        ("broadcast", {"broadcast": [{"ledger": "x"}]}),
        ("broadcast", {"broadcast": {"ledger": "x"}}),
        ("broadcast", {"broadcast": [["x"]]}),
        ("broadcast", {"broadcast": [1]}),
        ("shard", {"shards": 4}),
        ("wave_interval", {"wave_size": 5}),
        ("wave_interval", {"wave_interval": HOUR}),
        ("wave_size", {"wave_size": 0, "wave_interval": HOUR}),
        ("wave_size", {"wave_size": "", "wave_interval": HOUR}),
        ("wave_size", {"wave_size": True, "wave_interval": HOUR}),
        ("wave_interval", {"wave_size": 5, "wave_interval": timedelta()}),
        ("wave_interval", {"wave_size": 5, "wave_interval": 30}),
        ("wave_interval", {"wave_size": 5, "wave_interval": timedelta(minutes=29)}),
    ],
    DeliveryReportOperator: [
        ("end", {"start": "2026-11-20T00:00Z", "end": "2026-11-20T00:00Z"}),
        ("end", {"start": "2026-11-20T00:00Z", "end": "2026-11-19T00:00Z"}),
        ("end", {"start": "2026-11-20T00:00Z"}),
        ("start, end", {"start": "None", "end": ""}),
        ("statuses", {**WINDOW, "statuses": ["deliverd"]}),
        ("statuses", {**WINDOW, "statuses": []}),
        ("message_types", {**WINDOW, "message_types": 5}),
        ("message_types", {**WINDOW, "message_types": []}),
        ("message_types", {**WINDOW, "message_types": ["OTP", " "]}),
        ("message_types", {**WINDOW, "message_types": ["{{ none }}"]}),
        ("destination", {**WINDOW, "destination": "None"}),
        ("audience", {**WINDOW, "broadcast": "/a", "audience": "/b"}),
        ("start, end", {"audience": "/b"}),
        ("start, destination", {"destination": "/nowhere/report.xlsx", "end": "2026-11-20T00:00:00Z"}),
        ("broadcast", {"broadcast": "/nowhere/ledger"}),
        ("audience", {**WINDOW, "audience": "/nowhere/manifest.json"}),
    ],
    DeliverySensor: [
        ("start, end", {"broadcast": None}),
        ("poke_interval", {**NO_BROADCAST, "poke_interval": 59}),
        ("poke_interval", {**NO_BROADCAST, "poke_interval": timedelta(seconds=30)}),
        ("min_final", {**NO_BROADCAST, "min_final": 0}),
        ("min_final", {**NO_BROADCAST, "min_final": "98"}),
        ("min_final", {**NO_BROADCAST, "min_final": "None"}),
        ("max_failed_pokes", {**NO_BROADCAST, "max_failed_pokes": -1}),
        ("max_failed_pokes", {**NO_BROADCAST, "max_failed_pokes": "many"}),
        ("min_final, poke_interval", {"poke_interval": 59, "min_final": "98"}),
        ("broadcast", {"broadcast": {"ledger": "/ledger"}}),
        ("broadcast", {"broadcast": "/nowhere/ledger"}),
        ("broadcast", {"broadcast": "/nowhere/manifest.json"}),
        ("end", {"broadcast": None, "start": WINDOW["end"], "end": WINDOW["start"]}),
    ],
}


@pytest.mark.parametrize(
    ("operator", "wrong", "fields"),
    [(operator, *case) for operator in WRONG for case in WRONG[operator]],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_wrong_field_sends_nothing(
    context: dict[str, Any],
    sandbox: Sandbox,
    operator: Any,
    wrong: str,
    fields: dict[str, Any],
    snapshot: SnapshotAssertion,
) -> None:
    error = Run(operator, context, REQUIRED[operator]).fail(**fields)
    assert ", ".join(each.partition(":")[0] for each in error.errors) == wrong
    assert str(error) == snapshot
    assert not sandbox.requests


@pytest.mark.parametrize("operator", [*REQUESTS, *OTHERS])
def test_init_only_assigns(operator: Any) -> None:
    fields = {name: f"{{{{ {name} }}}}" for name in operator.template_fields}
    renamed = {"output" if name == "output_folder" else name: value for name, value in fields.items()}
    task = operator(task_id="task", **renamed)
    assert {name: getattr(task, name) for name in fields} == fields


# A field of a create or an update is in each place that needs it


OF_TASKS = {"self", "kwargs", "durable"}


def places(operator: Any, model: Any, schema: Any) -> dict[str, set[str]]:
    """Return the fields in each place, by the model's names."""
    names = {str(field.serialization_alias): name for name, field in model.model_fields.items()}
    not_sent = {name for name, field in model.model_fields.items() if field.exclude}  # of the path, or looked up
    described = re.split(r":param (\w+):", inspect.getdoc(operator) or "")[1:]
    templated = {name for name, text in zip(described[::2], described[1::2], strict=True) if "(templated)" in text}
    page = (REPOSITORY / "docs" / "howto" / "operators.md").read_text()
    return {
        "signature": set(inspect.signature(operator).parameters) - OF_TASKS,
        "template_fields": set(operator.template_fields) - {"otpiq_conn_id"},
        "docstring, with (templated)": templated - {"otpiq_conn_id"},
        "docs/howto/operators.md": {name for name in model.model_fields if f"`{name}`" in page},
        "sandbox/schemas.py": {names[alias] for alias in schema.model_fields} | not_sent,
    }


@pytest.mark.parametrize(
    ("operator", "model", "schema"),
    [
        (CreateCampaignOperator, CreateCampaign, CreateCampaignRequest),
        (UpdateCampaignOperator, UpdateCampaign, UpdateCampaignRequest),
    ],
)
def test_every_field_is_in_every_place(operator: Any, model: Any, schema: Any) -> None:
    differences = {
        place: found ^ set(model.model_fields)
        for place, found in places(operator, model, schema).items()
        if found != set(model.model_fields)
    }
    assert differences == {}
