"""Downloads of reports' files: on which host, and without a key."""

import tracemalloc
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_otpiq.sandbox import Sandbox
from tests.sandbox.client import WINDOW, created_id, download, generate, people, reported_file, sample

pytestmark = pytest.mark.slow


def test_a_download_needs_no_key_and_is_logged(sandbox: Sandbox) -> None:
    url = generate(sandbox).json()["downloadUrl"]
    assert download(url).status_code == 200
    logged = sandbox.requests[-1]
    assert (logged["method"], logged["path"], logged["status"]) == ("GET", urlsplit(url).path, 200)


@pytest.mark.parametrize("value", ["Bearer {}", "Basic c2s6", ""])
def test_a_download_with_a_key_returns_400_whatever_is_armed(sandbox: Sandbox, value: str) -> None:
    url = generate(sandbox).json()["downloadUrl"]
    sandbox.arm("download", status=200)
    response = download(url, headers={"Authorization": value.format(sandbox.api_key)})
    assert response.status_code == sandbox.requests[-1]["status"] == 400
    assert "Authorization" in response.json()["error"]
    assert sandbox.api_key not in str(sandbox.requests)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "localhost:8484", "[::1]:9", "127.9.9.9"])
def test_a_download_url_is_on_the_host_by_which_the_client_came(sandbox: Sandbox, name: str) -> None:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Host": name}
    url = f"{sandbox.url}/reports"
    report = requests.post(f"{url}/generate", json=WINDOW, headers=headers, timeout=10).json()
    (listed,) = requests.get(url, headers=headers, timeout=10).json()
    assert urlsplit(report["downloadUrl"])[:2] == ("http", name)
    assert listed == report
    assert urlsplit(sandbox.reports[0]["downloadUrl"]).netloc == urlsplit(sandbox.url).netloc


@pytest.mark.parametrize(
    "path", ["", "/", "/{id}", "/{id}/", "/{id}/other.csv", "/{id}/{name}/x", "/%ff/{name}", "/x/{name}"]
)
def test_an_unknown_file_returns_404(sandbox: Sandbox, path: str) -> None:
    report = generate(sandbox).json()
    files = f"{sandbox.url.removesuffix('/api')}/files"
    assert download(files + path.format(id=report["fileId"], name=report["filename"])).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_file_can_only_be_read(sandbox: Sandbox, method: str) -> None:
    assert requests.request(method, reported_file(sandbox), timeout=10).status_code == 405


def test_a_download_does_not_hold_the_whole_file(sandbox: Sandbox) -> None:
    sandbox.credit, campaign_id = 240_000, created_id(sandbox)
    for _ in range(20):
        sample(sandbox, campaign_id, *people(1000))
    url, size = reported_file(sandbox), 0
    tracemalloc.start()
    try:
        with requests.get(url, stream=True, timeout=30) as response:
            size = sum(map(len, response.iter_content(65536)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 2_000_000
    assert peak < size / 2
