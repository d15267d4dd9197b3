"""The ``otpiq-sandbox`` command."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.app import NOTICE


def main() -> None:
    """Run the sandbox until the process is told to end."""
    parser = argparse.ArgumentParser(prog="otpiq-sandbox", description=NOTICE)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8484, help="port to listen on, 0 for any (default: %(default)s)")
    parser.add_argument("--api-key", default="sk_dev_sandbox", help="the key it accepts (default: %(default)s)")
    options = parser.parse_args()
    try:
        sandbox = Sandbox(host=options.host, port=options.port, api_key=options.api_key)
    except OSError as error:
        sys.exit(f"otpiq-sandbox: cannot listen on {options.host}:{options.port}: {error.strerror}")
    print(NOTICE, f"  base URL   {sandbox.url}", f"  API key    {sandbox.api_key}", sep="\n", flush=True)
    print(f"  look       {sandbox.url.removesuffix('api')}", flush=True)
    with suppress(KeyboardInterrupt):
        sandbox.serve()


if __name__ == "__main__":
    main()
