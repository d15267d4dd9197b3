"""A server of fixed responses: ``python -m dev.bench_server https FOLDER`` prints its URL and serves until it ends."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import trustme

CAMPAIGN_ID = "665f1c2ab3d4e5f601234567"
REPORT_ROWS = 1_000_000
_CAMPAIGN = {"_id": CAMPAIGN_ID, "name": "Bench", "sentCount": 0}
_REQUIRED = [{"required": True, "templateParametersPath": f"templateParameters.body.{key}"} for key in "12"]


def report(url: str) -> dict[str, Any]:
    """Return a report's description, whose file is ``report.csv`` of the server's folder."""
    return {"_id": "1", "downloadUrl": f"{url}/report.csv", "recordCount": REPORT_ROWS, "status": "available"}


def serve(scheme: str, folder: str) -> None:
    """Serve; for https, ``authority.pem`` in the folder signs the certificate."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if scheme == "https":
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(Path(folder, "authority.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    _Handler.folder, _Handler.url = folder, f"{scheme}://127.0.0.1:{server.server_port}"
    print(_Handler.url, flush=True)
    server.serve_forever()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder = url = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(report(self.url) if "report" in self.path else {"success": True, "data": _CAMPAIGN})

    def do_GET(self) -> None:
        if self.path == "/report.csv":
            self._send_file(Path(self.folder, "report.csv"))
        else:
            self._respond({"success": True, "data": {"fields": _REQUIRED}})

    def _respond(self, content: dict[str, Any]) -> None:
        """Send a response in one segment."""
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def _send_file(self, path: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        with path.open("rb") as content:
            shutil.copyfileobj(content, self.wfile, 1024 * 1024)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    serve(*sys.argv[1:])
