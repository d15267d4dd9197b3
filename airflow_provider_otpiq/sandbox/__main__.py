"""The ``otpiq-sandbox`` command."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

try:
    from airflow_provider_otpiq.sandbox import Sandbox
except ModuleNotFoundError as error:  # names the extra to install
    sys.exit(f"otpiq-sandbox: {error}")
from airflow_provider_otpiq.sandbox.app import NOTICE
from airflow_provider_otpiq.sandbox.request_log import KEEP_REQUESTS
from airflow_provider_otpiq.sandbox.service import CREDIT


def main() -> None:
    """Run the sandbox until the process is stopped."""
    parser = argparse.ArgumentParser(prog="otpiq-sandbox", description=NOTICE)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8484, help="the port to listen on, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key", default="sk_dev_sandbox", help="the API key that it accepts (default: %(default)s)"
    )
    parser.add_argument(
        "--credit", type=int, default=CREDIT, help="the project's credit, in IQD (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-requests",
        type=int,
        default=KEEP_REQUESTS,
        help="how many of the last requests to list (default: %(default)s)",
    )
    parser.add_argument(
        "--deviate",
        dest="deviations",
        metavar="ID",
        action="append",
        default=[],
        help="the id of an assumption about OTPIQ from which it deviates; can be repeated",
    )
    options = parser.parse_args()
    try:
        sandbox = Sandbox(**vars(options))
    except OSError as error:
        sys.exit(f"otpiq-sandbox: cannot listen on {options.host}:{options.port}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"otpiq-sandbox: {error}")
    print(NOTICE, f"  base URL   {sandbox.url}", f"  API key    {sandbox.api_key}", sep="\n", flush=True)
    print(f"  web UI     {sandbox.url.removesuffix('api')}", flush=True)
    with suppress(KeyboardInterrupt):
        sandbox.serve()


if __name__ == "__main__":
    main()
