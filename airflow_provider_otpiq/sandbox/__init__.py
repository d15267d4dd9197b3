"""
An offline OTPIQ for tests, demos and development. It is not OTPIQ and sends no messages.

It implements the API's contract independently and imports nothing of the provider but the list of assumptions, so that
a mistake in the provider is not repeated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox.server import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> object:
    """Import ``Sandbox`` when it is used: pytest imports this package in every run, for its plugin."""
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow_provider_otpiq.sandbox.server import Sandbox
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "jinja2", "uvicorn"):
            raise
        raise ModuleNotFoundError(
            f"The sandbox needs {error.name}; install it with: pip install 'airflow-provider-otpiq[sandbox]'",
            name=error.name,
        ) from None
    return Sandbox
