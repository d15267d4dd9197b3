"""A download from a public address, in a network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from airflow_provider_otpiq.exceptions import OtpiqReportError
from tests.http.test_download import CSV, report
from tests.system.network import ip, own_network
from tests.wire import Wire, persistent, response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

pytestmark = pytest.mark.pods

PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"


def test_a_file_is_downloaded_only_from_a_public_address(
    tmp_path: Path, hook: OtpiqHook, wire: Callable[..., Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate, target = trustme.CA(), tmp_path / "certificate.pem", tmp_path / "report.csv"
    issued = authority.issue_cert(PUBLIC, PRIVATE).private_key_and_cert_chain_pem
    certificate.write_bytes(issued.bytes() + authority.cert_pem.bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    def serve(address: str, content: bytes) -> tuple[Wire, str]:
        server = wire(persistent(content, certificate), reads=False, host=address)
        return server, f"https://{address}:{server.port}/file.csv"

    with own_network():
        for address in (PUBLIC, PRIVATE):
            ip(f"address add {address}/32 dev lo")
        public, public_url = serve(PUBLIC, response(CSV))
        private, private_url = serve(PRIVATE, response(CSV))
        _, redirect_url = serve(PUBLIC, response(b"", "302 Found", Location=private_url))
        hook.download_report(report=report(public_url), destination=str(target))
        assert target.read_bytes() == CSV
        for url in (private_url, redirect_url):
            with pytest.raises(OtpiqReportError, match=PRIVATE):
                hook.download_report(report=report(url), destination=str(target))
    assert (public.connections, private.connections) == (1, 0)
