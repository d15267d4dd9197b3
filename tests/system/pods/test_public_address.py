"""A download from a public address, in a network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import trustme

from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.pods

PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"
DOWNLOADS = textwrap.dedent(
    """
    import json, os, sys
    from tests.http.test_download import CSV, report, response
    from tests.wire import Wire, persistent
    from airflow_provider_otpiq.exceptions import OtpiqReportError
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    public, private, certificate, target = sys.argv[1:]
    os.environ["AIRFLOW_CONN_OTPIQ_DEFAULT"] = json.dumps({"conn_type": "otpiq", "password": "sk_dev_public"})
    os.environ["REQUESTS_CA_BUNDLE"] = certificate

    def serve(address, body):
        return Wire(persistent(body, certificate), reads=False, host=address)

    files = serve(public, response())
    there = serve(private, response())
    url = f"https://{public}:{files.port}/file.csv"
    OtpiqHook().download_report(report=report(url), destination=target)
    whole = open(target, "rb").read() == CSV

    def refused(url):
        try:
            OtpiqHook().download_report(report=report(url), destination=target)
        except OtpiqReportError as error:
            return str(error)

    redirects = serve(public, response(b"", "302 Found", Location=f"https://{private}:{there.port}/file.csv"))
    print(json.dumps({
        "whole": whole,
        "private": refused(f"https://{private}:{there.port}/file.csv"),
        "redirect": refused(f"https://{public}:{redirects.port}/file.csv"),
        "connections": [files.connections, there.connections],
    }))
    """
)


def test_a_file_is_downloaded_only_from_a_public_address(tmp_path: Path) -> None:
    authority, certificate = trustme.CA(), tmp_path / "certificate.pem"
    issued = authority.issue_cert(PUBLIC, PRIVATE).private_key_and_cert_chain_pem
    certificate.write_bytes(issued.bytes() + authority.cert_pem.bytes())
    (tmp_path / "downloads.py").write_text(DOWNLOADS)
    addresses = "".join(f"ip address add {address}/32 dev lo && " for address in (PUBLIC, PRIVATE))
    python = [sys.executable, "-W", "ignore", str(tmp_path / "downloads.py"), PUBLIC, PRIVATE, str(certificate)]
    command = f'ip link set lo up && {addresses}exec "$@"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", command, "sh", *python, str(tmp_path / "report.csv")],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["whole"]
    for refusal in (found["private"], found["redirect"]):
        assert PRIVATE in refusal
    assert found["connections"] == [1, 0]
