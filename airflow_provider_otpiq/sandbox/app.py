"""The routes: OTPIQ's API under ``/api``, its files under ``/files``, the sandbox's own API under ``/_sandbox``."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.sandbox import resources
from airflow_provider_otpiq.sandbox.campaigns import FAILING_SUFFIX, MESSAGES_PER_SECOND, PRICES, Campaign
from airflow_provider_otpiq.sandbox.dashboard import render_dashboard
from airflow_provider_otpiq.sandbox.faults import Fault
from airflow_provider_otpiq.sandbox.middleware import DeviationMiddleware, FaultMiddleware
from airflow_provider_otpiq.sandbox.reports import REPORT_SIMULATION
from airflow_provider_otpiq.sandbox.schemas import (
    CreateCampaignRequest,
    GenerateReportRequest,
    Id,
    RecipientsRequest,
    UpdateCampaignRequest,
)
from airflow_provider_otpiq.sandbox.service import BadRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import ASGIApp

    from airflow_provider_otpiq.sandbox.reports import Report
    from airflow_provider_otpiq.sandbox.state import SandboxState

M = TypeVar("M", bound=BaseModel)

NOTICE = "This is the sandbox of airflow-provider-otpiq. It is not OTPIQ, and it sends no messages."
SIMULATION = [
    "Any well-formed id of a template or phone number is accepted, because the sandbox does not know yours. A template"
    " that it does not know has no parameters. The sandbox's own ids, listed by GET /whatsapp/resources, must belong to"
    " the same account.",
    "A create with scheduleType now may have scheduledFor null. An update without fields is accepted.",
    "An update with scheduledFor null returns 400 if the campaign stays scheduled. A draft's time may be in the past.",
    "A scheduled campaign starts at its time, even without recipients. Its credit can become negative.",
    "campaignId is any string. templateParameters may be omitted if the template requires none.",
    "An attach and a sample accept any string as a parameter. If it is blank, or has a line break, a tab or more than"
    " four consecutive spaces, the message fails when it is sent, with WhatsApp's error, and is refunded.",
    "An update to another template does not validate the recipients again.",
    "A sample can be sent of any campaign, including one that runs and another sample.",
    f"The sandbox sends {MESSAGES_PER_SECOND} messages per second. A message costs {PRICES['MARKETING']} IQD, or"
    f" {PRICES['UTILITY']} IQD in the category UTILITY. Messages to numbers that end in {FAILING_SUFFIX} fail, and are"
    " refunded when the campaign is completed.",
    *REPORT_SIMULATION,
]
"""How the sandbox simulates what no feature of the provider relies on."""


class ChangeResource(BaseModel):
    """The fields of a template, a phone number or an account to change."""

    id: str
    fields: dict[str, str | None]


class SetCredit(BaseModel):
    """The project's new credit, in IQD."""

    credit: Annotated[int, Field(strict=True)]


class MoveClock(BaseModel):
    """The seconds by which to move the sandbox's clock."""

    seconds: Annotated[float, Field(allow_inf_nan=False)]


def _body_of(model: type[M]) -> Any:
    """Validate the body's bytes; FastAPI would parse them first, and older versions ignore the content type."""

    async def body(request: Request) -> M:
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise BadRequestError("The Content-Type must be application/json")
        try:
            return model.model_validate_json(await request.body())
        except ValidationError as error:
            raise BadRequestError(_describe_errors(error.errors(include_url=False, include_input=False))) from None

    return Depends(body)


NewCampaign = Annotated[CreateCampaignRequest, _body_of(CreateCampaignRequest)]
Changes = Annotated[UpdateCampaignRequest, _body_of(UpdateCampaignRequest)]
NewRecipients = Annotated[RecipientsRequest, _body_of(RecipientsRequest)]
NewReport = Annotated[GenerateReportRequest, _body_of(GenerateReportRequest)]
ReportStatuses = Annotated[str, Query(pattern="^(available|expired|deleted)(,(available|expired|deleted))*$")]


class NotFoundError(Exception):
    """The campaign or file does not exist: the response is a 404."""


def make_app(state: SandboxState) -> ASGIApp:
    """Return the web application."""
    app = FastAPI(title="OTPIQ sandbox", description=NOTICE, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(_api_router(state), prefix="/api")
    app.include_router(_report_router(state), prefix="/api/reports")
    app.add_api_route("/files/{file_id}/{filename}", partial(_download, state))
    app.include_router(_control_router(state), prefix="/_sandbox")

    @app.get("/")
    async def dashboard(request: Request, refresh: str = "on") -> HTMLResponse:
        return HTMLResponse(render_dashboard(state, _own_address(request), refreshes=refresh != "off"))

    for error, handler in _ERROR_HANDLERS.items():
        app.add_exception_handler(error, handler)
    return FaultMiddleware(DeviationMiddleware(app, state), state)


def _api_router(state: SandboxState) -> APIRouter:
    api = APIRouter()
    get_campaign = partial(_get_campaign, state)

    @api.get("/info")
    async def info() -> dict[str, Any]:
        return {"projectName": "Sandbox project", "credit": state.campaigns.credit}

    @api.get("/whatsapp/resources")
    async def all_resources() -> dict[str, Any]:
        return {"success": True, "data": resources.to_api(state.resources)}

    @api.get("/whatsapp/campaigns/recipient-payload")
    async def payload(
        template_id: Annotated[Id | None, Query(alias="templateId")] = None,
        campaign_id: Annotated[str | None, Query(alias="_id")] = None,
        alias_of_id: Annotated[str | None, Query(alias="campaignId")] = None,
    ) -> dict[str, Any]:
        of_campaign = campaign_id or alias_of_id
        template = get_campaign(of_campaign).template if of_campaign else template_id
        if template is None:
            raise BadRequestError("templateId or _id is required")
        return {"success": True, "data": resources.template_by_id(template).payload()}

    @api.post("/whatsapp/campaigns", status_code=201)
    async def create(new: NewCampaign) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.create(new)}

    @api.patch("/whatsapp/campaigns/{campaign_id}")
    async def update(campaign_id: str, changes: Changes) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.update(get_campaign(campaign_id), changes)}

    @api.post("/whatsapp/campaigns/{campaign_id}/recipients")
    async def attach(campaign_id: str, new: NewRecipients) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.attach(get_campaign(campaign_id), new)}

    @api.post("/whatsapp/campaigns/{campaign_id}/sample", status_code=201)
    async def sample(campaign_id: str, new: NewRecipients) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.send_sample(get_campaign(campaign_id), new)}

    @api.post("/whatsapp/campaigns/{campaign_id}/start")
    async def start(campaign_id: str) -> dict[str, Any]:
        return {"success": True, "data": state.campaigns.start(get_campaign(campaign_id))}

    return api


def _get_campaign(state: SandboxState, campaign_id: str) -> Campaign:
    campaign = state.campaigns.find(campaign_id)
    if campaign is None:
        raise NotFoundError("Campaign not found")
    return campaign


def _report_router(state: SandboxState) -> APIRouter:
    reports = APIRouter()

    @reports.post("/generate", status_code=201)
    async def generate(new: NewReport, request: Request) -> JSONResponse:
        return JSONResponse(state.reports.generate(new, _own_address(request)), status_code=201)

    @reports.get("")
    async def newest(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        status: ReportStatuses = "available,expired,deleted",
    ) -> JSONResponse:
        return JSONResponse(state.reports.newest(_own_address(request), status.split(","), limit))

    return reports


def _own_address(request: Request) -> str:
    """Return the address by which the client reached the sandbox; the client may trust no other."""
    host = request.headers.get("host") or "{}:{}".format(*request.scope["server"])
    return f"{request.scope['scheme']}://{host}"


async def _download(state: SandboxState, file_id: str, filename: str) -> StreamingResponse:
    report = state.reports.find_file(file_id, filename)
    if report is None:
        raise NotFoundError("File not found")
    return StreamingResponse(_parts(report), media_type="text/csv")


async def _parts(report: Report) -> AsyncIterator[str]:
    for part in report.csv():
        yield part
        await asyncio.sleep(0)  # lets other requests be processed


def _control_router(state: SandboxState) -> APIRouter:
    control = APIRouter()

    @control.get("")
    async def about() -> dict[str, Any]:
        return {
            "notice": NOTICE,
            "assumptions": {name: assumption.text for name, assumption in ASSUMPTIONS.items()},
            "deviations": state.deviations,
            "simulation": SIMULATION,
        }

    @control.get("/state")
    async def campaigns() -> JSONResponse:  # FastAPI's own encoder is several times slower
        listed = state.campaigns.list_campaigns()
        return JSONResponse({"notice": NOTICE, "credit": state.campaigns.credit, "campaigns": listed})

    @control.get("/campaigns/{campaign_id}/recipients")
    async def recipients(campaign_id: str) -> JSONResponse:
        numbers = list(_get_campaign(state, campaign_id).recipients)
        return JSONResponse({"notice": NOTICE, "recipients": numbers})

    @control.get("/reports")
    async def reports(request: Request) -> JSONResponse:
        return JSONResponse({"notice": NOTICE, "reports": state.reports.list_reports(_own_address(request))})

    @control.get("/requests")
    async def requests() -> Response:
        # ASCII, because a lone surrogate in a request cannot be encoded as UTF-8.
        return Response(
            json.dumps({"notice": NOTICE, "requests": state.requests.newest()}), media_type="application/json"
        )

    @control.get("/faults")
    async def faults() -> dict[str, Any]:
        return {"notice": NOTICE, "faults": state.faults}

    @control.post("/faults", status_code=201)
    async def arm(fields: Annotated[Any, Body()] = None) -> dict[str, Any]:
        try:
            state.faults.append(Fault.parse(fields))
        except ValueError as error:
            raise BadRequestError(str(error)) from None
        return {"notice": NOTICE, "faults": state.faults}

    @control.delete("/faults")
    async def disarm() -> dict[str, Any]:
        state.faults.clear()
        return {"notice": NOTICE, "faults": state.faults}

    @control.post("/credit")
    async def set_credit(new: SetCredit) -> dict[str, Any]:
        state.campaigns.credit = new.credit
        return {"notice": NOTICE, "credit": state.campaigns.credit}

    @control.post("/resources")
    async def change_resource(change: ChangeResource) -> dict[str, Any]:
        try:
            state.resources.change(change.id, change.fields)
        except ValueError as error:
            raise BadRequestError(str(error)) from None
        return {"notice": NOTICE, **resources.to_api(state.resources)}

    @control.post("/clock")
    async def clock(move: MoveClock) -> dict[str, Any]:
        try:
            state.move_clock(timedelta(seconds=move.seconds))
        except OverflowError:
            raise BadRequestError("seconds: moves the clock beyond the years 1 to 9999") from None
        return {"notice": NOTICE, "now": state.now()}

    @control.post("/reset")
    async def reset() -> dict[str, Any]:
        state.reset()
        return {"notice": NOTICE}

    return control


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"message": str(error)}, status_code=404)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == HTTPStatus.BAD_REQUEST:
        return JSONResponse({"error": "The body cannot be parsed"}, status_code=status)
    return JSONResponse(
        {"message": "The sandbox has no such endpoint; it has only what OTPIQ documents"}, status_code=status
    )


async def _bad_request(request: Request, error: Exception) -> JSONResponse:
    details = error.details if isinstance(error, BadRequestError) else {}
    return JSONResponse({"error": str(error), **details}, status_code=400)


async def _invalid_body(request: Request, error: Exception) -> JSONResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    in_body = [error | {"loc": error["loc"][1:]} for error in errors]
    return JSONResponse({"error": _describe_errors(in_body)}, status_code=400)


def _describe_errors(errors: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(": ".join(filter(None, [".".join(map(str, error["loc"])), error["msg"]])) for error in errors)


_ERROR_HANDLERS = {
    NotFoundError: _not_found,
    BadRequestError: _bad_request,
    RequestValidationError: _invalid_body,
    HTTPException: _http_error,
}
