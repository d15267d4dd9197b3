from tests.operators.conftest import audience, context, create, dag, start  # noqa: F401  # fixtures
