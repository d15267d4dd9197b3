"""A poke needs a broadcast, as a report does."""

from tests.operators.conftest import audience, broadcast, context, create, dag, poke, start  # noqa: F401  # fixtures
