"""The hook: an Airflow connection to OTPIQ, and one method for each of its endpoints."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_otpiq._connection.form import field_behaviour, widgets
from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq._connection.settings import ConnectionSettings
from airflow_provider_otpiq._http.client import OtpiqClient
from airflow_provider_otpiq._http.download import Download
from airflow_provider_otpiq._models.campaigns import (
    CampaignResponse,
    CreateCampaign,
    ProjectInfo,
    StartCampaign,
    UpdateCampaign,
)
from airflow_provider_otpiq._models.fields import is_set
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.reports import DownloadReport, GenerateReport, ListReports, Report, ReportList
from airflow_provider_otpiq._models.resources import ResourcesResponse
from airflow_provider_otpiq._recipients.attach_response import AttachedCampaign, AttachResponse, all_already_attached
from airflow_provider_otpiq._recipients.requests import RecipientPayload, RecipientsRequest
from airflow_provider_otpiq._recipients.template_parameters import PayloadResponse
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._storage import staged
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError, OtpiqRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    import requests

    from airflow_provider_otpiq._http.client import PendingMarker
    from airflow_provider_otpiq._models.campaigns import CreateCampaignFields, UpdateCampaignFields

_CAMPAIGNS = "/whatsapp/campaigns"


class OtpiqHook(BaseHook):
    """
    Talk to OTPIQ's API with the credentials of an Airflow connection.

    The methods take the API's fields by keyword, in snake_case, and return plain dicts, so that a ``@task`` function
    can use them. All calls go over one session. Inside one call a request is retried, up to the connection's
    ``max_retries`` times, only if it is idempotent (GET, PATCH) or provably had no effect (connection refused, 429),
    and each HTTP retry is logged.

    Every method that sends a request raises:

    - :class:`.OtpiqConfigurationError` if the connection cannot be used; nothing was sent;
    - Airflow's ``AirflowNotFoundException`` if there is no such connection; nothing was sent;
    - :class:`.OtpiqValidationError` if a field breaks a rule; nothing was sent;
    - :class:`.OtpiqApiError` if OTPIQ refuses the request, or its response is lost or not in the contract.

    :param otpiq_conn_id: the Airflow connection of type ``otpiq`` to use, ``otpiq_default`` by default.
    """

    conn_name_attr = "otpiq_conn_id"
    default_conn_name = "otpiq_default"
    conn_type = "otpiq"
    hook_name = "OTPIQ"

    def __init__(self, otpiq_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.otpiq_conn_id = otpiq_conn_id

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("settings", "_client")}  # no API key

    @cached_property
    def settings(self) -> ConnectionSettings:
        """
        The connection, validated.

        :raises OtpiqConfigurationError: if anything in the connection cannot be used.
        :raises AirflowNotFoundException: if there is no such connection. Airflow retries the task then, as a secrets
            backend that was away may be back.
        """
        if not is_set(self.otpiq_conn_id):
            raise OtpiqConfigurationError("otpiq_conn_id: is empty, or the string 'None'; nothing was sent.")
        return ConnectionSettings.from_connection(self.get_connection(self.otpiq_conn_id))

    @cached_property
    def guard_rails(self) -> GuardRails:
        """
        Whom the connection may reach, and when.

        :raises OtpiqConfigurationError: if they cannot be understood: then nobody may be messaged over it.
        :raises AirflowNotFoundException: if there is no such connection.
        """
        return GuardRails.from_connection(self.otpiq_conn_id, self.settings.extra)

    @cached_property
    def _client(self) -> OtpiqClient:
        return OtpiqClient(self.settings, f"connection {self.otpiq_conn_id!r}", self.log)

    def get_conn(self) -> requests.Session:
        """
        Return the session that all calls go over, with the API key in it.

        It sends the key to every address. Only the hook's methods handle addresses, timeouts and retries.

        :return: the session, the same one each time.
        :raises OtpiqConfigurationError: if the connection cannot be used.
        :raises AirflowNotFoundException: if there is no such connection.
        """
        return self._client.session

    def create_campaign(self, **fields: Unpack[CreateCampaignFields]) -> dict[str, Any]:
        """
        Create a campaign without recipients (``POST /whatsapp/campaigns``).

        Never retried inside the call where its outcome is unknown: that would leave a second campaign.

        :param fields: the fields of :class:`.CreateCampaignOperator`, by keyword. A time needs an offset.
        :return: the campaign as OTPIQ returns it; its id is ``_id``.
        :raises OtpiqValidationError: also if a template or a number is not found by its name, or if several are; and
            if the campaign is to start by itself in the connection's quiet hours.
        :raises OtpiqConfigurationError: also if the campaign is to start by itself and a guard rail of the connection
            cannot be understood.
        """
        request = CreateCampaign.parse(**fields)
        if request.scheduled_for:
            self.guard_rails.check_scheduled_time(request.scheduled_for)
        return self._create_or_update("POST", _CAMPAIGNS, request)

    def update_campaign(self, **fields: Unpack[UpdateCampaignFields]) -> dict[str, Any]:
        """
        Edit a campaign that is a draft or scheduled (``PATCH /whatsapp/campaigns/{_id}``).

        Only the fields that are set are changed, and at least one must be. A campaign that has started cannot be
        edited.

        :param fields: the fields of :class:`.UpdateCampaignOperator`, by keyword. A time needs an offset.
        :return: the campaign as OTPIQ returns it.
        :raises OtpiqValidationError: also if a template or a number is not found by its name, or if several are; and
            if the campaign is to start by itself in the connection's quiet hours, or at a time that is not set here.
        :raises OtpiqConfigurationError: also if the campaign is to start by itself and a guard rail of the connection
            cannot be understood.
        """
        request = UpdateCampaign.parse(**fields)
        if request.starts_by_itself:  # whom it holds would get the message
            self.guard_rails.check_scheduled_time(request.scheduled_for)
        return self._create_or_update("PATCH", f"{_CAMPAIGNS}/{request.campaign_id}", request)

    def check_recipients(
        self,
        *,
        campaign_id: str,
        recipients: object,
        default_region: str = DEFAULT_REGION,
        validate_parameters: bool = True,
        on_invalid: str = "fail",
        null_values: object = None,
    ) -> ValidRecipients:
        """
        Validate recipients and write them in the API's form, each person once. It sends no messages.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: an iterable of recipients, each as for :class:`.AttachRecipientsOperator`.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :param validate_parameters: whether to ask OTPIQ which parameters the template requires, True by default.
        :param on_invalid: ``fail``, the default, refuses all recipients if any is invalid; ``skip`` leaves those out
            of at most 100,000, and logs which and why.
        :param null_values: as for :class:`.AttachRecipientsOperator`, which cleans values in the same way.
        :return: the recipients as they are sent, for :meth:`attach_recipients` or :meth:`send_sample`.
        :raises OtpiqValidationError: also if a recipient is invalid or not allowed; the text lists each by position.
        """
        request = RecipientsRequest.parse(
            campaign_id=campaign_id,
            recipients=recipients,
            default_region=default_region,
            on_invalid=on_invalid,
            null_values=null_values,
        )
        guard_rails = self.guard_rails  # first of all, because reading them checks everything in the connection
        valid = request.recipients
        if isinstance(valid, ValidRecipients) and not validate_parameters and valid.allowed_by == guard_rails:
            return valid
        validator = RecipientValidator(valid, request.default_region, request.null_values)
        if guard_rails.allowed_recipients is not None:
            validator.require_allowed(guard_rails.is_allowed)
        if validate_parameters:
            validator.require(self.get_recipient_payload(campaign_id=request.campaign_id))
        valid = validator.result(skip_invalid=request.on_invalid == "skip")
        guard_rails.check_count(len(valid))
        valid.allowed_by = guard_rails
        return valid

    def attach_recipients(
        self, *, campaign_id: str, recipients: object, default_region: str = DEFAULT_REGION
    ) -> AttachedCampaign:
        """
        Attach recipients to a draft or scheduled campaign (``POST /whatsapp/campaigns/{_id}/recipients``).

        Idempotent: OTPIQ skips the numbers that are on the campaign already. If all of them are, that is not an error.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 of them, as :meth:`check_recipients` takes or returns them. A campaign holds 1000
            in total.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :return: what the response holds of the campaign, which is not documented, and ``_id``: a dict, whose attributes
            ``attached`` and ``already_attached`` are the numbers of recipients as far as the response tells, else None.
        :raises OtpiqValidationError: also, after the request, if the campaign now holds more recipients than the
            connection's ``max_recipients``.
        """
        valid = self.check_recipients(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region, validate_parameters=False
        )
        campaign = self._attach(campaign_id, valid)
        self.guard_rails.check_total(campaign)
        return campaign

    def send_sample(
        self,
        *,
        campaign_id: str,
        recipients: object,
        default_region: str = DEFAULT_REGION,
        pending_marker: PendingMarker | None = None,
    ) -> dict[str, Any]:
        """
        Send a campaign's message to a few people immediately (``POST /whatsapp/campaigns/{_id}/sample``).

        OTPIQ creates a separate campaign for it, and leaves this one as it is. It costs money and is not idempotent,
        so it is sent at most once: never again where it may have taken effect.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 of them, as :meth:`check_recipients` takes or returns them.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :param pending_marker: what is saved before each attempt, and deleted after one that provably had no effect; the
            operators save it in the task's state. None saves nothing.
        :return: the sample campaign as OTPIQ returns it; its id is ``_id``, the other's ``sampleOfCampaign``.
        :raises OtpiqValidationError: also in the connection's quiet hours, which are checked before each attempt.
        :raises OtpiqOutcomeUnknownError: if whether it was sent is unknown.
        """
        valid = self.check_recipients(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region, validate_parameters=False
        )
        path = f"{_CAMPAIGNS}/{campaign_id}/sample"
        check = partial(self.guard_rails.check_now, "the sample")  # before each attempt
        return _data(self._client.request_at_most_once(path, CampaignResponse, valid, check, pending_marker))

    def start_campaign(self, *, campaign_id: str, pending_marker: PendingMarker | None = None) -> dict[str, Any]:
        """
        Start a campaign now, even if it is scheduled for later (``POST /whatsapp/campaigns/{_id}/start``).

        Its messages go out immediately. It costs money and is not idempotent, so it is sent at most once. The
        campaign's recipients cannot be read: guard rails do not see those that were attached elsewhere.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param pending_marker: as for :meth:`send_sample`.
        :return: the campaign as OTPIQ returns it.
        :raises OtpiqValidationError: as for :meth:`send_sample`.
        :raises OtpiqOutcomeUnknownError: if whether it has started is unknown.
        """
        request = StartCampaign.parse(campaign_id=campaign_id)
        path = f"{_CAMPAIGNS}/{request.campaign_id}/start"
        check = partial(self.guard_rails.check_now, "the start")
        return _data(self._client.request_at_most_once(path, CampaignResponse, None, check, pending_marker))

    def get_recipient_payload(
        self, *, campaign_id: str | None = None, template_id: str | None = None
    ) -> dict[str, Any]:
        """
        Read what each recipient must carry (``GET /whatsapp/campaigns/recipient-payload``).

        :param campaign_id: a campaign's ``_id``, for its template; or
        :param template_id: a template's id. Exactly one of both.
        :return: ``template``, ``fields`` and ``exampleRecipient``.
        """
        request = RecipientPayload.parse(campaign_id=campaign_id, template_id=template_id)
        path = f"{_CAMPAIGNS}/recipient-payload?{request.query}"
        return _data(self._client.request("GET", path, PayloadResponse))

    def get_resources(self) -> dict[str, Any]:
        """
        Read the project's WhatsApp accounts, with their templates and phone numbers (``GET /whatsapp/resources``).

        :return: ``project``, ``summary`` and ``businesses``.
        """
        return _data(self._client.request("GET", "/whatsapp/resources", ResourcesResponse))

    def get_project_info(self) -> dict[str, Any]:
        """
        Read the project's name and credit (``GET /info``).

        :return: ``projectName``, and ``credit`` in IQD.
        """
        info: dict[str, Any] = self._client.request("GET", "/info", ProjectInfo)
        return info

    def generate_report(
        self, *, start: object, end: object, phone_numbers: object = None, statuses: object = None
    ) -> dict[str, Any]:
        """
        Make a report of the messages in a window of time (``POST /reports/generate``): who got one, what it cost.

        It costs nothing and is deleted after 30 days, so it is retried: a lost response may leave a second report.

        :param start: when the window begins: a datetime or an ISO 8601 string, with an offset.
        :param end: when it ends, after ``start``.
        :param phone_numbers: whose messages, in all ways that recipients' numbers may be written; None, the default,
            for everybody's. How many OTPIQ takes is not documented.
        :param statuses: which messages: a list of ``pending``, ``sent``, ``delivered``, ``read`` and ``failed``; all by
            default.
        :return: the report as OTPIQ returns it. Its ``downloadUrl`` is all that is needed to read what is in it: keep
            it out of XCom and logs.
        """
        request = GenerateReport.parse(start=start, end=end, phone_numbers=phone_numbers, statuses=statuses)
        report: dict[str, Any] = self._client.request(
            "POST", "/reports/generate", Report, request.body(), is_idempotent=True
        )
        return report

    def list_reports(self, *, limit: int = 100, status: object = None) -> list[dict[str, Any]]:
        """
        List the project's reports (``GET /reports``).

        :param limit: how many at most, 1 to 500, 100 by default.
        :param status: which: a list of ``available``, ``expired`` and ``deleted``; all by default.
        :return: the reports as OTPIQ returns them.
        """
        request = ListReports.parse(limit=limit, status=status)
        reports: list[dict[str, Any]] = self._client.request("GET", f"/reports?{request.query}", ReportList)
        return reports

    def download_report(self, *, report: Mapping[str, Any], destination: object) -> str:
        """
        Download the CSV file of a report, from the ``downloadUrl`` that OTPIQ names.

        Neither the API key nor anything else of the API's session goes there. The address must be https and public,
        after name resolution and after each of two redirects at most; only the connection's own scheme, host and port,
        where a sandbox has its files, may be another. A file has 4 GiB and half an hour at most. It appears at the
        destination whole or not at all: its rows must be as many as the report says.

        :param report: the report, as :meth:`generate_report` or :meth:`list_reports` returns it.
        :param destination: the local path or URL of the file, which ``ObjectStoragePath`` reaches. One that is there is
            replaced.
        :return: the destination.
        :raises OtpiqReportError: if the address is not safe.
        :raises OtpiqDownloadError: if the file is gone or not whole; generate another report.
        """
        request = DownloadReport.parse(report=report, destination=destination)
        report_id = f"report {sanitize(request.report.id)} (connection {self.otpiq_conn_id!r})"
        download = Download(request.report.download_url, request.report.record_count, report_id, self.settings)
        with staged(request.destination) as path:
            download.to_file(path, self.log)
        return request.destination

    def test_connection(self) -> tuple[bool, str]:
        """
        Test the connection with a single ``GET /info``, for the Test button of Airflow's connection form.

        It runs in Airflow's API server, so it never sleeps and never retries.

        :return: whether it works, and what a person should know: the project's name and remaining credit, or
            what is wrong.
        """
        try:
            self.guard_rails  # noqa: B018  # reading them checks everything in the connection
            info = self._client.attempt("GET", "/info", ProjectInfo)
        except (OtpiqError, AirflowNotFoundException) as error:
            # Airflow tests under a made-up id, which says nothing to anybody.
            return False, str(error).replace(repr(self.otpiq_conn_id), "under test")
        credit = "unknown" if info.get("credit") is None else f"{float(info['credit']):,.0f} IQD"
        return True, f"Connected to OTPIQ project {sanitize(info['projectName'])!r}; remaining credit: {credit}."

    # Airflow before 3.2 looks for these in the class itself, and not for inherited ones.
    get_ui_field_behaviour = staticmethod(field_behaviour)
    get_connection_form_widgets = staticmethod(widgets)

    def _create_or_update(self, method: str, path: str, request: CreateCampaign | UpdateCampaign) -> dict[str, Any]:
        if request.has_names:
            request = request.resolve_ids(self.get_resources())
        return _data(self._client.request(method, path, CampaignResponse, request.body(), if_lost=request.if_lost))

    def _attach(self, campaign_id: str, recipients: ValidRecipients) -> AttachedCampaign:
        path = f"{_CAMPAIGNS}/{campaign_id}/recipients"
        if_lost = "The recipients may be attached. A retry attaches those that are missing; OTPIQ skips the others."
        try:
            response = self._client.request("POST", path, AttachResponse, recipients, if_lost=if_lost)
        except OtpiqRequestError as error:
            if not all_already_attached(error):
                raise
            return AttachedCampaign.unchanged(campaign_id, len(recipients))
        return AttachedCampaign({**(response.get("data") or {}), "_id": campaign_id})


def _data(response: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = response["data"]
    return data
