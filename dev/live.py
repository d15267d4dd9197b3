"""
Call OTPIQ itself, and compare its responses with the documented ones.

It reads, generates one report, and makes one draft, which it schedules more than a year ahead and makes a draft again.
It sends no message, and attaches nobody.
"""

from __future__ import annotations

import os
import sys

from dev.local_airflow import REPOSITORY

_FIX = "Set the environment variable to the key of a project for development."


def api_key() -> str:
    """
    Return the key in ``OTPIQ_API_KEY``.

    :raises ValueError: if it is not the key of a project for development.
    """
    key = os.environ.get("OTPIQ_API_KEY", "")
    if not key:
        raise ValueError(f"OTPIQ_API_KEY: is not set; expected a key that begins with sk_dev. {_FIX}")
    if not key.startswith("sk_dev"):
        raise ValueError(f"OTPIQ_API_KEY: is another kind of key; expected one that begins with sk_dev. {_FIX}")
    return key


def main() -> None:
    """Run the tests that are marked ``live``."""
    try:
        api_key()
    except ValueError as error:
        sys.exit(f"make test-live: {error}")
    import pytest

    print(
        "This makes one draft without recipients. OTPIQ documents no way to delete it. No message is sent.", flush=True
    )
    sys.exit(pytest.main(["-m", "live", "--tb=short", str(REPOSITORY / "tests" / "live")]))


if __name__ == "__main__":
    main()
