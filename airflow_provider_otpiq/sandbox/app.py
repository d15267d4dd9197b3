"""The sandbox's HTTP side: OTPIQ's paths under ``/api``, its own under ``/_sandbox``."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from airflow_provider_otpiq.sandbox.campaigns import Campaign, Changes, NewCampaign, RefusedError
from airflow_provider_otpiq.sandbox.faults import Fault
from airflow_provider_otpiq.sandbox.front import Front

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from airflow_provider_otpiq.sandbox.state import SandboxState

NOTICE = "This is the sandbox of airflow-provider-otpiq. It is not OTPIQ, and it sends no messages."
ASSUMPTIONS = [
    "Campaign errors have the shapes that OTPIQ documents for its SMS API.",
    "Every broken rule of a body, a started campaign included, is answered with 400; unknown fields are refused.",
    "A create is answered with 201. An unknown campaign is answered with 404.",
    "A template or phone number is not looked up: any well-formed id is taken, as your own ids are unknown here.",
    "A create with scheduleType now may carry scheduledFor null. An update without any field is accepted.",
    "An update's scheduledFor null clears a draft's time, and is refused for a campaign that stays scheduled.",
    "An update's scheduledFor alone keeps a draft a draft, and may then be in the past.",
    "An update's scheduleType schedule alone keeps the campaign's earlier time, if that is still to come.",
    "A scheduled campaign starts at its time even without recipients.",
    "The campaign object of an answer has no status, as in OTPIQ's example; campaignId is any text.",
]


class Move(BaseModel):
    """How far to move the sandbox's clock."""

    seconds: Annotated[float, Field(allow_inf_nan=False)]


class CampaignNotFoundError(Exception):
    """There is no such campaign: the sandbox answers 404."""


def make_app(state: SandboxState) -> ASGIApp:
    """
    Make the web application.

    :param state: what it serves and keeps.
    :return: the application.
    """
    app = FastAPI(title="OTPIQ sandbox", description=NOTICE, docs_url=None, redoc_url=None)
    app.include_router(_api(state), prefix="/api")
    app.include_router(_control(state), prefix="/_sandbox")
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return Front(app, state)


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
        return {"success": True, "data": state.campaigns.create(new)}

    @api.patch("/whatsapp/campaigns/{campaign_id}")
    async def update(campaign_id: str, changes: Changes) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.update(found(campaign_id), changes)}

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

    @control.get("/faults")
    async def faults() -> dict[str, Any]:
        return {"notice": NOTICE, "faults": state.faults}

    @control.post("/faults", status_code=201)
    async def arm(fault: Fault) -> dict[str, Any]:
        state.faults.append(fault)
        return {"notice": NOTICE, "faults": state.faults}

    @control.post("/clock")
    async def clock(move: Move) -> dict[str, Any]:
        try:
            state.move_clock(timedelta(seconds=move.seconds))
        except OverflowError:
            raise RefusedError("no calendar reaches so far") from None
        return {"notice": NOTICE, "now": state.now()}

    @control.post("/reset")
    async def reset() -> dict[str, Any]:
        state.reset()
        return {"notice": NOTICE}

    return control


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
