"""What many tests need: values that keep the API's contract, and a task instance to execute under."""

from __future__ import annotations

from functools import cache
from typing import Any

import pendulum

CAMPAIGN_ID = "665f1c2ab3d4e5f601234567"
TEMPLATE_ID = "665f1c2ab3d4e5f601234568"
PHONE_NUMBER_ID = "665F1C2AB3D4E5F601234569"

CREATE: dict[str, Any] = {"name": "Summer", "template_id": TEMPLATE_ID, "phone_number_id": PHONE_NUMBER_ID}
CREATE_BODY = {"name": "Summer", "templateId": TEMPLATE_ID, "phoneNumberId": PHONE_NUMBER_ID}

CAMPAIGN = {"_id": CAMPAIGN_ID, "campaignId": "cmp_1", "name": "Summer", "startedAt": None, "sentCount": 0}
ANSWER = {"success": True, "data": CAMPAIGN}


@cache
def tomorrow() -> pendulum.DateTime:
    return pendulum.now("UTC").add(days=1).start_of("second")


class TaskInstance:
    """What an operator uses of Airflow's task instance."""

    def __init__(self, try_number: int = 1) -> None:
        self.try_number = try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value
