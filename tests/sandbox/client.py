"""The API's calls, by a plain HTTP client."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE_BODY

CAMPAIGNS = "/whatsapp/campaigns"
PAYLOAD = f"{CAMPAIGNS}/recipient-payload"
WINDOW = {"startDate": "2026-12-01T00:00:00Z", "endDate": "2026-12-02T00:00:00Z"}


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def call(sandbox: Sandbox, method: str, path: str, body: Any = None, key: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {key or sandbox.api_key}"}
    return requests.request(method, sandbox.url + path, json=body, headers=headers, timeout=10, allow_redirects=False)


def create(sandbox: Sandbox, **changes: Any) -> requests.Response:
    return call(sandbox, "POST", CAMPAIGNS, CREATE_BODY | changes)


def created_id(sandbox: Sandbox, **changes: Any) -> str:
    campaign_id: str = create(sandbox, **changes).json()["data"]["_id"]
    return campaign_id


def update(sandbox: Sandbox, campaign_id: str, **changes: Any) -> requests.Response:
    return call(sandbox, "PATCH", f"{CAMPAIGNS}/{campaign_id}", changes)


def attach(sandbox: Sandbox, campaign_id: str, *recipients: Any) -> requests.Response:
    return call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/recipients", {"recipients": list(recipients)})


def sample(sandbox: Sandbox, campaign_id: str, *recipients: Any) -> requests.Response:
    return call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/sample", {"recipients": list(recipients)})


def start(sandbox: Sandbox, campaign_id: str) -> requests.Response:
    return call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/start")


def people(how_many: int, first: int = 1) -> list[dict[str, Any]]:
    """Recipients whose messages arrive: their numbers end in 1."""
    return [{"phoneNumber": f"96477{number:06}1"} for number in range(first, first + how_many)]


def people_without_whatsapp(how_many: int) -> list[dict[str, Any]]:
    """Recipients whose messages fail: their numbers end in 000."""
    return [{"phoneNumber": f"96478{number:04}000"} for number in range(how_many)]


def with_recipients(sandbox: Sandbox, *recipients: Any, **changes: Any) -> str:
    """Create a campaign, attach recipients, one by default, and return its id."""
    campaign_id = created_id(sandbox, **changes)
    assert attach(sandbox, campaign_id, *(recipients or people(1))).status_code == 200
    return campaign_id


def generate(sandbox: Sandbox, **fields: Any) -> requests.Response:
    """Generate a report of an hour around now, by the sandbox's clock, unless the fields say otherwise."""
    hour, now = timedelta(hours=1), clock(sandbox)
    window = {"startDate": (now - hour).isoformat(), "endDate": (now + hour).isoformat()}
    return call(sandbox, "POST", "/reports/generate", window | fields)


def list_reports(sandbox: Sandbox, query: str = "") -> requests.Response:
    return call(sandbox, "GET", f"/reports{query}")


def reported_file(sandbox: Sandbox) -> str:
    """Return the download URL of the last report, generating one if there is none."""
    reports = sandbox.reports or [generate(sandbox).json()]
    url: str = reports[-1]["downloadUrl"]
    return url


def download(url: str, **options: Any) -> requests.Response:
    return requests.get(url, timeout=30, **options)


def rows(url: str) -> list[dict[str, str]]:
    """The rows of a report's file."""
    return list(csv.DictReader(io.StringIO(download(url).text, newline="")))


def clock(sandbox: Sandbox, seconds: float = 0) -> datetime:
    return datetime.fromisoformat(control(sandbox, "POST", "/_sandbox/clock", {"seconds": seconds})["now"])


def control(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    return requests.request(method, sandbox.url.removesuffix("/api") + path, json=body, timeout=10).json()


def accounts(sandbox: Sandbox) -> list[dict[str, Any]]:
    (business,) = call(sandbox, "GET", "/whatsapp/resources").json()["data"]["businesses"]
    listed: list[dict[str, Any]] = business["whatsappAccounts"]
    return listed


def ids_of_template(sandbox: Sandbox, name: str) -> dict[str, str]:
    """The two ids of a create for a template of the sandbox's own."""
    for account in accounts(sandbox):
        for template in account["templates"]:
            if template["name"] == name:
                return {"templateId": template["id"], "phoneNumberId": account["phoneNumbers"][0]["id"]}
    raise LookupError(name)
