"""The sandbox as a server, in a thread or in the foreground."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_otpiq.sandbox.app import make_app
from airflow_provider_otpiq.sandbox.deviations import parse_deviations
from airflow_provider_otpiq.sandbox.faults import Fault
from airflow_provider_otpiq.sandbox.local_requests import LocalRequestsMiddleware
from airflow_provider_otpiq.sandbox.request_log import KEEP_REQUESTS
from airflow_provider_otpiq.sandbox.service import CREDIT
from airflow_provider_otpiq.sandbox.state import SandboxState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


class Sandbox:
    """
    An offline OTPIQ that listens on a port of this machine.

    As a context manager, it runs in a thread until the block ends::

        with Sandbox() as sandbox:
            hook = ...  # a connection whose host is sandbox.url and whose password is sandbox.api_key

    :param host: the address to listen on, loopback by default.
    :param port: the port to listen on; by default 0, which means any free one.
    :param api_key: the only API key that it accepts.
    :param credit: the project's initial credit in IQD, 15,000 by default.
    :param keep_requests: how many of the last requests :attr:`requests` lists: 0 or more, 1,000 by default.
    :param deviations: the ids of assumptions about OTPIQ from which it deviates, such as ``attach-all-present``; none
        by default.
    :raises OSError: if the port is taken.
    :raises ValueError: if ``keep_requests`` is negative, or if it cannot deviate from one of the assumptions.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sk_dev_sandbox",
        credit: int = CREDIT,
        keep_requests: int = KEEP_REQUESTS,
        deviations: Iterable[str] = (),
    ) -> None:
        self.api_key = api_key
        self._state = SandboxState(api_key, credit=credit, keep_requests=keep_requests, deviations=deviations)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        # Connections inherit it: older uvicorn sends head and body separately, and the body would wait 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            LocalRequestsMiddleware(make_app(self._state), host, self._socket.getsockname()[0]),
            ws="none",
            http="h11",  # its connections can be dropped
            log_level="critical",  # an incomplete response of a fault is not an error
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._state.drop_connection = self._drop_connection
        self._thread = threading.Thread(target=self.serve, name="otpiq-sandbox", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for a connection's host."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"

    @property
    def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns, oldest first: the API's campaign objects, with their ``status`` and ``category``."""
        return self._state.campaigns.list_campaigns()

    @property
    def reports(self) -> list[dict[str, Any]]:
        """All delivery reports, oldest first, including expired ones: the API's report objects."""
        return self._state.reports.list_reports(self.url.removesuffix("/api"))

    def recipients(self, campaign_id: str) -> list[str]:
        """
        List the phone numbers on a campaign.

        :param campaign_id: the campaign's ``_id``.
        :return: the phone numbers, in the order of the attaches.
        :raises LookupError: if the campaign does not exist.
        """
        campaign = self._state.campaigns.find(campaign_id)
        if campaign is None:
            raise LookupError(f"campaign_id: no campaign has the id {campaign_id!r}")
        return list(campaign.recipients)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """
        The last requests to the API, including downloads, oldest first.

        Each is a dict of ``at``, ``method``, ``path``, ``body`` and ``status``. ``status`` is None if no response was
        sent. ``body`` is None if it was empty or not JSON, or if later bodies take 10 MB.
        """
        return self._state.requests.newest()

    @property
    def credit(self) -> int:
        """The project's credit in IQD. It can be set."""
        return self._state.campaigns.credit

    @credit.setter
    def credit(self, credit: int) -> None:
        self._state.campaigns.credit = credit

    @property
    def deviations(self) -> tuple[str, ...]:
        """The ids of assumptions about OTPIQ from which it deviates. They can be set."""
        return self._state.deviations

    @deviations.setter
    def deviations(self, deviations: Iterable[str]) -> None:
        self._state.deviations = parse_deviations(deviations)

    def arm(self, call: str, **fault: Any) -> None:
        """
        Arm a fault for the next requests of one kind.

        :param call: the kind of request: ``info``, ``resources``, ``create``, ``update``, ``payload``, ``attach``,
            ``sample``, ``start``, ``generate``, ``reports`` or ``download``.
        :param fault: the fields of a :class:`~airflow_provider_otpiq.sandbox.faults.Fault`: ``times``, ``when``
            (``before`` or ``after`` the request is processed), ``delay`` in seconds, ``status``, ``body``,
            ``headers``, and ``connection`` (``drop``, ``cut`` or ``endless``).
        :raises ValueError: if the call, a field or a value is not valid; the text lists what is valid.
        """
        self._state.faults.append(Fault.parse({"call": call, **fault}))

    def disarm(self) -> None:
        """Remove all faults."""
        self._state.faults.clear()

    def change_resource(self, resource_id: str, **fields: str | None) -> None:
        """
        Change what ``GET /whatsapp/resources`` returns, as WhatsApp does when it pauses a template or bans a number.

        :param resource_id: the id of a template, a phone number or an account.
        :param fields: the API's fields, such as ``status="PAUSED"``, ``qualityRating="RED"`` or ``banState="DISABLE"``.
        :raises ValueError: if the resource or a field does not exist; the text lists those that do.
        """
        self._state.resources.change(resource_id, fields)

    def move_clock(self, **by: float) -> None:
        """
        Move the sandbox's clock: scheduled campaigns start at their time, and started ones continue.

        :param by: the arguments of a :class:`datetime.timedelta`, such as ``hours=1``.
        :raises OverflowError: if the time would be outside of the years 1 to 9999.
        """
        self._state.move_clock(timedelta(**by))

    def reset(self) -> None:
        """Remove all campaigns, reports, requests and faults; reset the clock, credit, resources and deviations."""
        self._state.reset()

    def serve(self) -> None:
        """Serve until the process is stopped, or the ``with`` block ends."""
        self._server.run(sockets=[self._socket])

    def _drop_connection(self, client: tuple[str, int]) -> None:
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, H11Protocol) and connection.client == tuple(client):
                connection.transport.abort()

    def __enter__(self) -> Self:
        self._thread.start()  # the socket already listens, so an early request waits
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
