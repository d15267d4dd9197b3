"""The command line of ``otpiq-check``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import pendulum
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.check.client import SafeClient, UnknownError
from airflow_provider_otpiq.check.evidence import Evidence
from airflow_provider_otpiq.check.project import describe_project, read_project
from airflow_provider_otpiq.check.requests import try_campaign, try_reports
from airflow_provider_otpiq.check.results import Results
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "OTPIQ_API_KEY"
_HOLDS, _DIFFERS, _COULD_NOT_RUN = 0, 1, 2


class _CannotRunError(Exception):
    """The check cannot run; the text says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Check what this provider assumes about OTPIQ.

    :param arguments: the command's arguments; None for those of the process.
    :return: the exit status: 0 if nothing differs, 1 if an assumption differs, 2 if the check could not run.
    """
    options = _parser().parse_args(arguments)
    try:
        return _check(options)
    except _CannotRunError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "interrupted. Run the command again."
    print(f"otpiq-check: {' '.join(reason.replace('  - ', '').split())}", file=sys.stderr)
    return _COULD_NOT_RUN


def _check(options: argparse.Namespace) -> int:
    phone_number = _phone_number(options)
    settings = _settings(options, phone_number)
    _write(options.json, "", mode="a")  # now, so that an error comes before the first request
    evidence = Evidence(SafeClient(settings, "otpiq-check", phone_number=phone_number))
    try:
        read_project(evidence)
    except UnknownError as error:
        raise _CannotRunError(
            f"{error}. Check the base URL, the API key and the network, and run the command again."
        ) from None
    print(*describe_project(evidence), "", sep="\n", flush=True)
    if options.create:
        _create(evidence, phone_number)
    results = Results(evidence)
    print(*results.table(), sep="\n")
    _write(options.json, results.to_json(), mode="w")
    return _DIFFERS if results.differing else _HOLDS


def _create(evidence: Evidence, phone_number: str | None) -> None:
    name = f"otpiq-check {pendulum.now('UTC').to_date_string()}"
    print(f"Creating the draft {name!r}, which OTPIQ documents no way to delete, and three reports.\n", flush=True)
    try:
        try_campaign(evidence, name, phone_number)
        try_reports(evidence)
    except KeyboardInterrupt:
        raise _CannotRunError(f"interrupted; the draft {name!r} may exist. Run the command again.") from None
    finally:
        if warning := evidence.client.guard.warning:
            print(f"otpiq-check: the draft {name!r} {warning} Delete it in OTPIQ's dashboard.", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="otpiq-check",
        description="Check whether OTPIQ behaves as airflow-provider-otpiq assumes. It sends no messages.",
        epilog="Exit status: 0 if nothing differs, 1 if an assumption differs, 2 if the check could not run.",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--conn-id", default=OtpiqHook.default_conn_name, help="the Airflow connection (default: %(default)s)"
    )
    source.add_argument(
        "--url", help=f"OTPIQ's base URL, instead of a connection; the key is in {KEY}, and no database is needed"
    )
    parser.add_argument(
        "--create", action="store_true", help="create one draft and three reports, and check what needs them"
    )
    parser.add_argument(
        "--phone-number",
        metavar="NUMBER",
        help="your own phone number, which --create attaches to the draft; it gets no message",
    )
    parser.add_argument("--json", metavar="FILE", help="write the results, without key, phone numbers and names")
    return parser


def _settings(options: argparse.Namespace, phone_number: str | None) -> ConnectionSettings:
    try:
        if options.url is None:
            return _settings_of_connection(options.conn_id, phone_number)
        return _settings_of_url(options.url)
    except OtpiqConfigurationError as error:
        raise _CannotRunError(str(error)) from None


def _settings_of_url(url: str) -> ConnectionSettings:
    if not os.environ.get(KEY):
        raise _CannotRunError(f"{KEY}: is not set. Set it to your project's API key (sk_live… or sk_dev…).")
    connection = Connection(conn_id="--url", conn_type="otpiq", host=url, password=os.environ[KEY])
    return ConnectionSettings.from_connection(connection)


def _settings_of_connection(conn_id: str, phone_number: str | None) -> ConnectionSettings:
    hook = OtpiqHook(conn_id)
    try:
        settings = hook.settings
    except OtpiqConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001  # a secrets backend or a database can raise anything
        raise _CannotRunError(
            f"--conn-id: the connection {conn_id!r} cannot be read ({type(error).__name__}: {sanitize(str(error))})."
            f" Add it, or set --url and {KEY} instead, which need no database."
        ) from None
    if phone_number and not hook.guard_rails.is_allowed(phone_number):
        raise _CannotRunError(
            f"--phone-number: is not in allowed_recipients of the connection {conn_id!r}. Set a number that the"
            " connection allows, or add yours there."
        )
    return settings


def _phone_number(options: argparse.Namespace) -> str | None:
    if options.phone_number is None:
        return None
    if not options.create:
        raise _CannotRunError("--phone-number: needs --create. Add --create, or remove --phone-number.")
    try:
        return normalize(options.phone_number)
    except ValueError as error:
        raise _CannotRunError(f"--phone-number: {error}. Set your own number, such as +964 770 123 4567.") from None


def _write(file: str | None, results: str, *, mode: str) -> None:
    if file is None:
        return
    try:
        with open(file, mode, encoding="utf-8") as output:  # Path("") is the current folder
            output.write(results)
    except OSError as error:
        raise _CannotRunError(f"--json: cannot write {file!r}: {error.strerror}. Set another file.") from None


if __name__ == "__main__":
    sys.exit(main())
