"""What the tests of operators share: tasks, pushed XComs, sent requests, future times, and texts for snapshots."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pendulum
import pytest
import time_machine

from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.sandbox import Sandbox


@dataclass
class Run:
    """Run an operator, or a poke of a sensor, each time in a separate task."""

    task_class: Any
    context: dict[str, Any]
    defaults: dict[str, Any]
    task: Any = field(default=None, init=False)
    """The task that was created last."""

    def make(self, **fields: Any) -> Any:
        """Return a task that has not run."""
        dag = self.context["dag"]
        self.task = self.task_class(**{"task_id": f"task_{len(dag.task_ids)}", "dag": dag, **self.defaults, **fields})
        return self.task

    @property
    def pushed(self) -> dict[str, Any]:
        """The XComs that the task instance has pushed, by key."""
        values: dict[str, Any] = self.context["ti"].pushed
        return values

    def __call__(self, **fields: Any) -> Any:
        task = self.make(**fields)
        task.render_template_fields(self.context)
        return task.poke(self.context) if hasattr(task, "poke") else task.execute(self.context)

    def fail(
        self, error: type[BaseException] = OtpiqValidationError, /, *, match: str | None = None, **fields: Any
    ) -> Any:
        """Run the task, which must fail with an error that matches a regular expression, and return the error."""
        with pytest.raises(error, match=match) as caught:
            self(**fields)
        return caught.value


_VARYING = {
    r"[^\s'\"]*/pytest-of-[^/]+/pytest-[^/]+/(popen-gw\d+/)?[^/\s'\".:,]+": "<folder>",
    r"https?://127\.0\.0\.1:\d+": "<url>",
    r"\b[0-9a-f]{24}\b": "<id>",
    r"(?<=[/_])[0-9a-f]{12}\b": "<hash>",
    r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?": "<time>",
    r"(\d+ hours? )?\d+ minutes( \d+ seconds?)?": "<duration>",
}


def text_of(error: BaseException | str) -> str:
    """Return an error's text with placeholders for the values that differ in each run."""
    text = str(error)
    for pattern, name in _VARYING.items():
        text = re.sub(pattern, name, text)
    return text


def sent(sandbox: Sandbox) -> list[str]:
    """List the requests that change something, with ``{_id}`` for ids."""
    return [
        f"{request['method']} {request['path'].rpartition('/')[2] if request['method'] == 'POST' else '{_id}'}"
        for request in sandbox.requests
        if request["method"] != "GET"
    ]


def in_minutes(minutes: int) -> pendulum.DateTime:
    return pendulum.now("UTC").add(minutes=minutes).start_of("second")


def later(**by: float) -> Any:
    """Move the clock of this process, and so the sandbox's, while a block runs."""
    return time_machine.travel(timedelta(**by))
