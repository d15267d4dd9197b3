"""
Measure speeds as ratios, in turns within one run, so a busy machine slows both sides.

Print tables in Markdown, and fail if a ratio exceeds its budget.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from dev.bench_harness import API_KEY, connect, in_turns, served, show
from dev.bench_server import CAMPAIGN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIELDS = {"name": "Bench", "template_id": CAMPAIGN_ID, "phone_number_id": CAMPAIGN_ID}
BODY = {"name": "Bench", "templateId": CAMPAIGN_ID, "phoneNumberId": CAMPAIGN_ID}
PATH = "/whatsapp/campaigns"
HEADERS = {"Authorization": f"Bearer {API_KEY}"}
RECIPIENTS = [
    {"phoneNumber": f"96477{number:08}", "templateParameters": {"body": {"1": "Zaynab", "2": f"{number} IQD"}}}
    for number in range(1000)
]
MAX_OF_HTTP_PARSE = 0.1
MAX_OF_REQUESTS, MAX_OF_HTTP_HOOK = 1.25, 0.9
MAX_OF_AN_ATTACH = 1.2  # 1.1, and a tenth for the noise of a busy machine

MODULES = {
    "this provider": "airflow_provider_otpiq.operators.campaign",
    "http": "airflow.providers.http.operators.http",
    "slack": "airflow.providers.slack.operators.slack",
    "airbyte": "airflow.providers.airbyte.operators.airbyte",
}
PARSE = """
import sys, time
import airflow.sdk
from airflow.sdk import DAG, BaseOperator
before = set(sys.modules)
began = time.perf_counter()
import {module}
took = time.perf_counter() - began
new = set(sys.modules) - before
known = set(sys.stdlib_module_names) | {{"airflow", "airflow_provider_otpiq"}}
print(took * 1000, len(new), sum(name.partition(".")[0] not in known for name in new))
"""


def main() -> None:
    """Measure everything and print it; exit with 1 if a budget is exceeded."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        os.environ["AIRFLOW_HOME"] = home
        # These import Airflow, which must know its home by then.
        from dev.bench_audience import preparing
        from dev.bench_broadcast import broadcast
        from dev.bench_report import reporting

        broken = [*parse_costs()]
        for measure in (creates_and_attaches, preparing, broadcast, reporting):
            # Over budget, it is measured again, because noise is rarely the same twice.
            broken += list(measure()) and list(measure())
    if broken:
        sys.exit("Over budget: " + "; ".join(broken))


def parse_costs() -> Iterator[str]:
    """Print how long a DAG file imports each provider's operators."""
    rows, costs = [], {}
    for name, module in MODULES.items():
        runs = [_parse(module) for _ in range(6)][1:]  # the first one may have to compile
        milliseconds, modules, foreign = (statistics.median(column) for column in zip(*runs, strict=True))
        costs[name] = milliseconds
        rows.append([name, f"{milliseconds:.1f}", f"{modules:.0f}", f"{foreign:.0f}"])
        if name == "this provider" and foreign:
            yield "parsing loads other packages"
    show(["import, beside an interpreter that holds airflow.sdk", "ms", "new modules", "of other packages"], *rows)
    if costs["this provider"] > MAX_OF_HTTP_PARSE * costs["http"]:
        yield f"parsing costs {costs['this provider'] / costs['http']:.2f} times the http provider"


def _parse(module: str) -> tuple[float, ...]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = f"{os.environ['AIRFLOW_HOME']}/compiled"
    command = [sys.executable, "-W", "ignore", "-c", PARSE.format(module=module)]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return tuple(map(float, printed.splitlines()[-1].split()))


def creates_and_attaches() -> Iterator[str]:
    """Print how long a call takes on a persistent connection, with and without TLS."""
    for scheme in ("http", "https"):
        for measure in (_create, _attach_a_thousand):
            with _server(scheme) as url:
                yield from measure(scheme, url)


@contextlib.contextmanager
def _server(scheme: str) -> Iterator[str]:
    """Run a server, and define the connections to it."""
    folder = os.environ["AIRFLOW_HOME"]
    with served("dev.bench_server", scheme, folder) as url:
        os.environ["REQUESTS_CA_BUNDLE"] = f"{folder}/authority.pem" if scheme == "https" else ""
        os.environ["AIRFLOW_CONN_HTTP_DEFAULT"] = json.dumps({"conn_type": "http", "host": url})
        connect(url)
        yield url


def _create(scheme: str, url: str) -> Iterator[str]:
    """Compare one create with requests alone and with Airflow's HttpHook."""
    import requests
    from airflow.providers.http.hooks.http import HttpHook

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    session, hook, http_hook = requests.Session(), OtpiqHook(), HttpHook(method="POST")
    calls: dict[str, Callable[[], object]] = {
        "requests.Session.post(…).json()": lambda: session.post(
            url + PATH, json=BODY, headers=HEADERS, timeout=(5, 30)
        ).json(),
        "OtpiqHook.create_campaign": lambda: hook.create_campaign(**FIELDS),
        "HttpHook.run(…).json()": lambda: http_hook.run(PATH, json=BODY, headers=HEADERS).json(),
    }
    medians = raw, own, other = [statistics.median(seconds) for seconds in in_turns(calls, rounds=40, calls_each=25)]
    show(
        [f"one create over {scheme}, on a persistent connection", "µs", "of requests alone", "of HttpHook"],
        *(
            [f"`{name}`", f"{median * 1e6:.0f}", f"{median / raw:.2f}", f"{median / other:.2f}"]
            for name, median in zip(calls, medians, strict=True)
        ),
    )
    if own > MAX_OF_REQUESTS * raw:
        yield f"a create over {scheme} takes {own / raw:.2f} times requests alone"
    if own > MAX_OF_HTTP_HOOK * other:
        yield f"a create over {scheme} takes {own / other:.2f} times HttpHook"


def _attach_a_thousand(scheme: str, url: str) -> Iterator[str]:
    """Compare checking and attaching a thousand recipients with posting the same body."""
    import requests

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    session, hook = requests.Session(), OtpiqHook()
    attach_url, body = f"{url}{PATH}/{CAMPAIGN_ID}/recipients", {"recipients": RECIPIENTS}

    def attach() -> None:
        recipients = hook.check_recipients(campaign_id=CAMPAIGN_ID, recipients=RECIPIENTS)
        hook.attach_recipients(campaign_id=CAMPAIGN_ID, recipients=recipients)

    calls: dict[str, Callable[[], object]] = {
        "raw": lambda: session.post(attach_url, json=body, headers=HEADERS, timeout=(5, 30)).json(),
        "own": attach,
        "payload": lambda: hook.get_recipient_payload(campaign_id=CAMPAIGN_ID),
    }
    raw, own, payload = (statistics.median(seconds) for seconds in in_turns(calls, rounds=160))
    ratio = (own - payload) / raw
    show(
        [f"1000 recipients over {scheme}, without the call for the recipient payload", "µs", "of requests alone"],
        ["`requests.Session.post(…).json()`", f"{raw * 1e6:.0f}", "1.00"],
        ["`OtpiqHook.check_recipients` and `attach_recipients`", f"{(own - payload) * 1e6:.0f}", f"{ratio:.2f}"],
    )
    if ratio > MAX_OF_AN_ATTACH:
        yield f"an attach over {scheme} takes {ratio:.2f} times requests alone"


if __name__ == "__main__":
    main()
