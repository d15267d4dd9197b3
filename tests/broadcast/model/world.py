"""
The world of the model: an object store, OTPIQ's campaigns and a clock. All of it is deterministic.

The package's code runs above it unchanged. Some things are replaced, each as low as possible:

- `_storage.find_store`, which finds the file system of a location: here always `Store`;
- `OtpiqClient._send`, which sends an HTTP request and reads its response: here `http` responds;
- the clock, by time-machine, and `time.sleep`, with which a stop waits for requests in flight;
- the threads in which `Output` writes parts: they are written one after the other.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest import mock

import pendulum
import time_machine

from airflow_provider_otpiq import _storage
from airflow_provider_otpiq._audience import output
from airflow_provider_otpiq._http.client import OtpiqClient, _serialise
from airflow_provider_otpiq._http.responses import RawResponse
from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import OtpiqConnectionError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BEGIN = pendulum.datetime(2026, 6, 1, 6, tz="UTC")
PRICE = 12
CAMPAIGNS = "/whatsapp/campaigns"
"""The path at which campaigns are created."""
_NOT_DRAFT = {"error": "Only campaigns in draft or scheduled status can be updated"}
_PAST = {"error": "scheduledFor is required and must be in the future when scheduleType is schedule"}


class LostError(Exception):
    """A request whose response never arrives."""


@dataclass
class Operation:
    """An operation of an actor on the world."""

    kind: str
    """``read``, ``list``, ``create``, ``write``, ``delete``, ``GET``, ``POST``, ``PATCH``, ``clock``, ``sleep`` …"""
    target: str
    effect: Callable[[], Any]
    """Returns the result, which is raised if it is an exception."""
    content: bytes = b""
    """What is written or sent."""

    def __str__(self) -> str:
        return f"{self.kind} {self.target} {summary(self.content)}"


@dataclass
class Campaign:
    """A campaign as OTPIQ stores it."""

    id: str
    name: str
    time: str | None = None
    """When it starts; None for a draft."""
    people: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        return self.id, self.name, self.time, self.people


@dataclass
class World:
    """The world at one moment."""

    objects: dict[str, bytes] = field(default_factory=dict)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    seconds: float = 0
    otpiq_is_ahead: float = 0
    """Seconds by which OTPIQ's clock differs from the workers'."""
    attach_returns_totals: bool = True
    credit: float = 10**9
    template_status: str = "APPROVED"
    was_replaced: bool = False
    """Whether a create has replaced the request before any start had begun."""
    stopped: tuple[str, ...] | None = None
    """The campaigns that were too late for the last stop; None if there was none, or a start has succeeded since."""
    starts: int = 0
    """Calls of ``/start``."""
    perform: Callable[[Operation], Any] = field(default=lambda operation: operation.effect(), compare=False)
    """Performs an operation, now or once its actor is chosen to go on."""

    @property
    def key(self) -> int:
        campaigns = tuple(campaign.key for campaign in self.campaigns.values())
        return hash(
            (
                frozenset(self.objects.items()),
                campaigns,
                self.seconds,
                self.was_replaced,
                self.stopped,
                self.starts,
                self.template_status,
            )
        )

    def has_started(self, campaign: Campaign) -> bool:
        return campaign.time is not None and minute_of(campaign.time) * 60 <= self.seconds + self.otpiq_is_ahead

    def move_clock(self, seconds: float) -> None:
        self.seconds = max(self.seconds, seconds)
        _traveller.move_to(BEGIN + timedelta(seconds=self.seconds))

    def operate(self, kind: str, target: str, effect: Callable[[], Any], content: bytes = b"") -> Any:
        result = self.perform(Operation(kind, target, effect, content))
        if isinstance(result, Exception):
            raise result
        return result


@cache
def minute_of(time: str) -> float:
    """Return a time in minutes after the model's begin."""
    return float((parse_datetime(time) - BEGIN).total_seconds() / 60)


_world = World()
_traveller: Any = None


def enter(world: World) -> World:
    """Let everything below happen in this world."""
    global _world  # noqa: PLW0603  # the package finds its store and its client by name
    _world = world
    world.move_clock(world.seconds)
    return world


def current() -> World:
    return _world


class Store:
    """What `Folder` needs of a file system of fsspec."""

    protocol = "model"

    def invalidate_cache(self) -> None:
        """Nothing is cached."""

    def cat_ranges(self, paths: Iterable[str], starts: None, ends: None, on_error: str) -> list[bytes | Exception]:
        return [self._read(path) for path in paths]

    def _read(self, path: str) -> bytes | Exception:
        world = _world
        content = world.operate("read", path, lambda: world.objects.get(path))
        return FileNotFoundError(path) if content is None else content

    def pipe_file(self, path: str, content: bytes, mode: str = "overwrite") -> None:
        world, is_create = _world, mode == "create"

        def effect() -> Exception | None:
            if is_create and path in world.objects:
                return FileExistsError(path)
            world.objects[path] = content
            return None

        world.operate("create" if is_create else "write", path, effect, content)

    def rm_file(self, path: str) -> None:
        world = _world
        world.operate("delete", path, lambda: world.objects.pop(path, None) and None)

    def ls(self, path: str, detail: bool) -> list[str]:
        world, prefix = _world, path.rstrip("/") + "/"

        def effect() -> list[str]:
            below = [name.removeprefix(prefix) for name in world.objects if name.startswith(prefix)]
            return sorted({prefix + name.partition("/")[0] for name in below})

        found: list[str] = world.operate("list", prefix, effect)
        return found


def summary(content: bytes) -> str:
    """Return the interesting fields of an object or a request."""
    shown = ("campaign_id", "attached", "scheduled_for", "requested", "confirmed", "name", "scheduledFor")
    read = json.loads(content) if content.startswith(b"{") else {}
    values = {**read, **read.get("request", {})} if isinstance(read.get("request"), dict) else read
    return str({name: values[name] for name in shown if name in values} or "")


def http(method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    """Respond as OTPIQ does."""
    world = _world
    if path == "/info":
        return 200, {"projectName": "Sandbox project", "credit": world.credit}
    if path == "/whatsapp/resources":
        return 200, _resources(world.template_status)
    if "recipient-payload" in path:
        return 200, _payload(path.rpartition("templateId=")[2])
    if path == CAMPAIGNS:
        campaign = Campaign(f"{len(world.campaigns) + 1:024x}", body["name"])
        world.campaigns[campaign.id] = campaign
        return 201, _response(campaign)
    campaign = world.campaigns[path.split("/")[3]]
    world.starts += path.endswith("/start")
    if world.has_started(campaign):
        return 400, _NOT_DRAFT
    return _update(world, campaign, body) if method == "PATCH" else _attach(world, campaign, body)


def _update(world: World, campaign: Campaign, body: dict[str, Any]) -> tuple[int, Any]:
    if "scheduledFor" in body:
        if world.has_started(Campaign("", "", body["scheduledFor"])):
            return 400, _PAST
        campaign.time = body["scheduledFor"]
    if body.get("scheduleType") == "now":
        campaign.time = None
    campaign.name = body.get("name", campaign.name)
    return 200, _response(campaign)


def _attach(world: World, campaign: Campaign, body: dict[str, Any]) -> tuple[int, Any]:
    numbers = [recipient["phoneNumber"] for recipient in body["recipients"]]
    new = tuple(number for number in numbers if number not in campaign.people)
    if not new:
        return 400, {"error": "All of these recipients are already on this campaign"}
    campaign.people += new
    return 200, _response(campaign) if world.attach_returns_totals else {"success": True, "data": {"_id": campaign.id}}


def _response(campaign: Campaign) -> dict[str, Any]:
    totals = {"totalRecipients": len(campaign.people), "estimatedTotalCost": PRICE * len(campaign.people)}
    return {"success": True, "data": {"_id": campaign.id, "name": campaign.name, **totals}}


@cache
def _resources(template_status: str) -> dict[str, Any]:
    changes = resources.ResourceChanges()
    changes.change(resources.ACCOUNTS[0].templates[0].id, {"status": template_status})
    return {"success": True, "data": resources.to_api(changes)}


@cache
def _payload(template_id: str) -> dict[str, Any]:
    template = resources.template_by_id(template_id)
    assert template is not None
    return {"success": True, "data": template.payload()}


class Client(OtpiqClient):
    """A client whose requests reach the world."""

    def _send(self, method: str, path: str, body: Any) -> RawResponse:
        content, substitute_for = _serialise(body)
        data = json.loads(content) if content else {}
        try:
            status, response = _world.operate(method, path, lambda: http(method, path, data), content or b"")
        except LostError:
            raise OtpiqConnectionError(f"{method} {path}: lost.", may_have_taken_effect=True) from None
        content = json.dumps(response).encode()
        headers = {"Content-Type": "application/json"}
        return RawResponse(f"{method} {path}", path, status, headers, content, self._settings.password, substitute_for)


@cache
def hook() -> OtpiqHook:
    """Return the hook of all tasks, which has no state; creating one takes longer than a task."""
    found = OtpiqHook("otpiq_model")
    found.__dict__["_client"] = Client(found.settings, "connection 'otpiq_model'")
    return found


def _sleep(seconds: float) -> None:
    world = _world
    world.operate("sleep", f"{seconds:g} s", lambda: world.move_clock(world.seconds + seconds))


class _InOneThread:
    """What `Output` needs of a pool of threads."""

    def __init__(self, size: int) -> None:
        self.map = map

    def __enter__(self) -> _InOneThread:
        return self

    def __exit__(self, *error: object) -> None:
        """There are no threads to end."""


@contextmanager
def installed() -> Iterator[None]:
    """Put the world below the package."""
    global _traveller  # one clock for all worlds
    connection = {"conn_type": "otpiq", "password": "sk_live_model", "extra": {"max_retries": 0}}
    with (
        time_machine.travel(BEGIN, tick=False) as _traveller,
        mock.patch.dict("os.environ", AIRFLOW_CONN_OTPIQ_MODEL=json.dumps(connection)),
        mock.patch.object(_storage, "find_store", lambda location: (Store(), location.partition("://")[2])),
        mock.patch.object(output, "ThreadPoolExecutor", _InOneThread),
        mock.patch("time.sleep", _sleep),
    ):
        logging.disable()  # tens of thousands of lines
        yield
    logging.disable(logging.NOTSET)
