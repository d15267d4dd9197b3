"""Fixtures that the system tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.object_store import Store, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def bucket() -> Iterator[Store]:
    with object_store() as store:
        yield store


@pytest.fixture
def store(bucket: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The bucket, with its connection in the test's environment."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket
