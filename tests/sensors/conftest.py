from tests.operators.conftest import audience, broadcast, context, create, dag, start  # noqa: F401  # fixtures
