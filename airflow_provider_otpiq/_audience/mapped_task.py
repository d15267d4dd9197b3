"""Which of a mapped task's instances prepares an audience, so that no two of them prepare theirs in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from airflow_provider_otpiq._storage import Folder

MAPPED_TASK = "mapped_task.json"


class MappedTask(BaseModel):
    """An instance of a mapped task."""

    model_config = ConfigDict(frozen=True)

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    request_checksum: str | None
    """
    What differs where another audience is meant: a run's clear may find the same one under another map index.
    None where that cannot be told.
    """

    def claim(self, folder: Folder) -> None:
        """
        Name itself in the folder of its audience, in the place of an earlier run's.

        :raises OtpiqValidationError: if another instance of the same run's task has its audience there.
        """
        content = self.model_dump_json(indent=1).encode()
        if folder.create(MAPPED_TASK, content):
            return
        found = self._parse(folder.read(MAPPED_TASK))
        if found and self._collides_with(found):
            error = f"output: map index {found.map_index} of this task prepares its audience in {folder} too"
            raise OtpiqValidationError(
                f"{error}, and one would replace the other. Put {{{{ ti.map_index }}}}, or what it is mapped over, into"
                f" output. If the mapping has changed since, delete {folder.location_of(MAPPED_TASK)} and clear"
                " the task.",
                errors=[error],
            )
        folder.write(MAPPED_TASK, content)

    def _collides_with(self, other: MappedTask) -> bool:
        is_same_task = (self.dag_id, self.task_id, self.run_id) == (other.dag_id, other.task_id, other.run_id)
        is_same_request = self.request_checksum is not None and self.request_checksum == other.request_checksum
        return is_same_task and self.map_index != other.map_index and not is_same_request

    def _parse(self, content: bytes | None) -> MappedTask | None:
        try:
            return MappedTask.model_validate_json(content or b"")
        except ValidationError:
            return None
