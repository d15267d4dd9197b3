"""What the tests of operators that accept recipients share: people, what was sent, what Airflow stores, an XCom."""

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import TEMPLATE

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]

PEOPLE = ["0770 123 4567", "+964 780 123 4567", 9647501234567]
DIGITS = ["9647701234567", "9647801234567", "9647501234567"]
WITH_PARAMETERS = pytest.mark.parametrize("campaign_id", [TEMPLATE], indirect=True)
BOTH = pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])


def attached(sandbox: Sandbox) -> list[str]:
    return [recipient["phoneNumber"] for recipient in sandbox.requests[-1]["body"]["recipients"]]


def nothing_was_sent(sandbox: Sandbox) -> bool:
    return {request["path"] for request in sandbox.requests if request["method"] == "POST"} == {
        "/api/whatsapp/campaigns"
    }


def as_airflow_stores_it(operator: Any) -> Any:
    from airflow.serialization.helpers import serialize_template_field

    return serialize_template_field(operator.recipients, "recipients")


class XCom(ResolveMixin):
    """What a task has returned."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Iterator[Any]:
        return iter(())

    def resolve(self, context: Any, **_: Any) -> Any:  # Airflow 2 has one more argument
        return self.value


def unmapped(operator: Any, name: str, context: dict[str, Any], **fields: Any) -> Any:
    """Return the rendered task of an operator that is mapped over one value of a field."""
    value = fields.pop(name)
    mapped = operator.partial(task_id="mapped", dag=context["dag"], **fields).expand(**{name: [value]})
    task = mapped.unmap({name: value})
    task._do_render_template_fields(task, task.template_fields, context, context["dag"].get_template_env(), set())
    return task
