"""Everything that a cluster has written, decoded."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import TYPE_CHECKING

from tests.system.observing import everything_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.celery.cluster import Cluster

_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")  # the bodies of Celery's messages
_BYTEA = re.compile(r"\\x([0-9a-f]{16,})")  # Celery's results, in a dump of PostgreSQL


def written_by(cluster: Cluster) -> str:
    """Return all logs, everything that Redis received, and a dump of PostgreSQL; a stored key is encrypted in it."""
    texts = list(everything_written(cluster.airflow))
    return "\n".join([*texts, *(decoded for text in texts for decoded in _decoded(text))])


def _decoded(text: str) -> Iterator[str]:
    for found in _BASE64.findall(text):
        try:
            yield base64.b64decode(found + "=" * (-len(found) % 4)).decode(errors="replace")
        except binascii.Error:  # not base64
            continue
    for found in _BYTEA.findall(text):
        content = bytes.fromhex(found[: len(found) // 2 * 2])
        yield content.decode(errors="replace")
        try:
            yield zlib.decompress(content).decode(errors="replace")
        except zlib.error:  # not compressed
            continue
