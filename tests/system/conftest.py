"""Fixtures that the system tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.system.object_store import Store


@pytest.fixture
def store(bucket: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The `bucket` of a module or folder, with its connection in the test's environment."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket
