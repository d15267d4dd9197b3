"""The sandbox's HTTP side: OTPIQ's paths under ``/api``, its own under ``/_sandbox``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from airflow_provider_otpiq.sandbox.campaigns import (
    Campaign,
    Campaigns,
    Changes,
    NewCampaign,
    RefusedError,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOTICE = "This is the sandbox of airflow-provider-otpiq. It is not OTPIQ, and it sends no messages."
ASSUMPTIONS = [
    "Campaign errors have the shapes that OTPIQ documents for its SMS API.",
    "Every broken rule of a body, a started campaign included, is answered with 400; unknown fields are refused.",
    "An unknown campaign is answered with 404.",
    "A template or phone number is not looked up: any well-formed id is taken, as your own ids are unknown here.",
    "An update's scheduledFor null clears the time; scheduleType schedule alone keeps the campaign's earlier time.",
    "A scheduled campaign starts at its time even without recipients.",
    "The campaign object of an answer has no status, as in OTPIQ's example.",
]


class CampaignNotFoundError(Exception):
    """There is no such campaign: the sandbox answers 404."""


class SandboxState:
    """What the sandbox holds. The API key of a request is compared and never kept."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.campaigns = Campaigns(clock=utc_now)
        self.requests: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Forget all campaigns and requests."""
        self.campaigns.clear()
        self.requests.clear()


def make_app(state: SandboxState) -> FastAPI:
    """
    Make the web application.

    :param state: what it serves and keeps.
    :return: the application.
    """
    app = FastAPI(title="OTPIQ sandbox", description=NOTICE, docs_url=None, redoc_url=None)
    app.include_router(_api(state), prefix="/api")
    app.include_router(_control(state), prefix="/_sandbox")
    app.middleware("http")(_recorder(state))
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return app


def _api(state: SandboxState) -> APIRouter:
    api = APIRouter()

    def found(campaign_id: str) -> Campaign:
        campaign = state.campaigns.find(campaign_id)
        if campaign is None:
            raise CampaignNotFoundError
        return campaign

    @api.get("/info")
    async def info() -> dict[str, Any]:
        return {"projectName": "Sandbox project", "credit": 15000}

    @api.post("/whatsapp/campaigns", status_code=201)
    async def create(new: NewCampaign) -> dict[str, Any]:
        return _success(state.campaigns.create(new))

    @api.patch("/whatsapp/campaigns/{campaign_id}")
    async def update(campaign_id: str, changes: Changes) -> dict[str, Any]:
        return _success(state.campaigns.update(found(campaign_id), changes))

    return api


def _control(state: SandboxState) -> APIRouter:
    control = APIRouter()

    @control.get("")
    async def about() -> dict[str, Any]:
        return {"notice": NOTICE, "assumptions": ASSUMPTIONS}

    @control.get("/state")
    async def campaigns() -> dict[str, Any]:
        return {"notice": NOTICE, "campaigns": state.campaigns.state()}

    @control.get("/requests")
    async def requests() -> Response:
        # As ASCII: half a character of a broken request cannot be written as UTF-8.
        return Response(json.dumps({"notice": NOTICE, "requests": state.requests}), media_type="application/json")

    @control.post("/reset")
    async def reset() -> dict[str, Any]:
        state.reset()
        return {"notice": NOTICE}

    return control


def _recorder(
    state: SandboxState,
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def record(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if not request.url.path.startswith("/api/"):
            return await answer(request)
        body = await request.body()
        received = {
            "at": utc_now().isoformat(),
            "method": request.method,
            "path": request.url.path,
            "body": _json_or_none(body),
            "status": None,
        }
        state.requests.append(received)
        authorized = request.headers.get("Authorization") == f"Bearer {state.api_key}"
        response = await answer(request) if authorized else _unauthorized()
        received["status"] = response.status_code
        response.headers["Server"] = "otpiq-sandbox"
        return response

    return record


def _success(campaign: Campaign) -> dict[str, Any]:
    return {"success": True, "data": campaign.as_answered(utc_now())}


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _unauthorized() -> JSONResponse:
    return JSONResponse({"message": "Unauthorized, please use your project api key"}, status_code=401)


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"message": "Campaign not found"}, status_code=404)


async def _no_such_call(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"message": "No such call; the sandbox has only what OTPIQ documents"}, status_code=status)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in problems]
    return JSONResponse({"error": "; ".join(texts)}, status_code=400)


_ANSWERS = {
    CampaignNotFoundError: _not_found,
    RefusedError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _no_such_call,
}
