"""Values that follow the API's contract, and fakes of Airflow's task instance and state store."""

import json
from datetime import timedelta
from functools import cache
from typing import Any

import pendulum

CAMPAIGN_ID = "665f1c2ab3d4e5f601234567"
TEMPLATE_ID = "665f1c2ab3d4e5f601234568"
PHONE_NUMBER_ID = "665F1C2AB3D4E5F601234569"

CREATE: dict[str, Any] = {"name": "Summer", "template_id": TEMPLATE_ID, "phone_number_id": PHONE_NUMBER_ID}
CREATE_BODY = {"name": "Summer", "templateId": TEMPLATE_ID, "phoneNumberId": PHONE_NUMBER_ID}

CAMPAIGN = {"_id": CAMPAIGN_ID, "campaignId": "cmp_1", "name": "Summer", "startedAt": None, "sentCount": 0}
RESPONSE = {"success": True, "data": CAMPAIGN}


@cache
def tomorrow() -> pendulum.DateTime:
    return pendulum.now("UTC").add(days=1).start_of("second")


class TaskInstance:
    """The part of Airflow's task instance that operators use."""

    dag_id, run_id, task_id, map_index = "dag", "manual__1", "task", -1

    def __init__(self, try_number: int = 1) -> None:
        self.try_number = try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class StateStore:
    """Airflow's task_state_store, which stores JSON."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}
        self.retentions: list[timedelta | None] = []

    def get(self, key: str) -> Any:
        return json.loads(self.stored[key]) if key in self.stored else None

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.stored[key] = json.dumps(value)
        self.retentions.append(retention)

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)


class BrokenStateStore(StateStore):
    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        raise RuntimeError("the API server is away")


def execute(task: Any, context: dict[str, Any]) -> Any:
    task.render_template_fields(context)
    return task.execute(context)
