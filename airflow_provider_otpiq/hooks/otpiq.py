"""The hook: an Airflow connection to OTPIQ, with one method for each endpoint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._connection.form import field_behaviour, widgets
from airflow_provider_otpiq._http.download import Download
from airflow_provider_otpiq._models import campaigns, reports
from airflow_provider_otpiq._models.campaigns import CampaignResponse, CreatedResponse, ProjectInfo, UpdatedResponse
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.resources import ResourcesResponse
from airflow_provider_otpiq._recipients.attach_response import (
    AttachedCampaign,
    AttachResponse,
    all_already_attached,
    may_be_all_attached,
)
from airflow_provider_otpiq._recipients.requests import RecipientPayload, RecipientsRequest
from airflow_provider_otpiq._recipients.template_parameters import PayloadResponse
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._storage import find_object
from airflow_provider_otpiq.exceptions import OtpiqRequestError
from airflow_provider_otpiq.hooks._base import OtpiqBaseHook
from airflow_provider_otpiq.hooks._doubts import doubt, doubt_refusals, doubt_report, require_same_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_otpiq._http.client import PendingMarker

_CAMPAIGNS = "/whatsapp/campaigns"


class OtpiqHook(OtpiqBaseHook):
    """
    Call OTPIQ's API with the credentials of an Airflow connection.

    The methods accept the API's fields by keyword, in snake_case, and return plain dicts, for use in a ``@task``
    function. All calls use one session. Within one call, a request is retried up to ``max_retries`` times (a setting of
    the connection), but only if it is idempotent (GET, PATCH) or provably had no effect (connection refused, 429). Each
    HTTP retry is logged.

    All methods raise :class:`.OtpiqConfigurationError` if the connection is invalid, and Airflow's
    ``AirflowNotFoundException`` if it does not exist; Airflow then retries the task, because a secrets backend may be
    back. Every method that sends a request raises:

    - :class:`.OtpiqValidationError` if a field breaks a rule; nothing was sent;
    - :class:`.OtpiqApiError` if OTPIQ refuses the request, or its response is lost or outside the contract.

    :param otpiq_conn_id: the Airflow connection of type ``otpiq``, ``otpiq_default`` by default.
    """

    def create_campaign(self, **fields: Any) -> dict[str, Any]:
        """
        Create a campaign without recipients (``POST /whatsapp/campaigns``).

        If the outcome is unknown, the call does not retry: that could create a second campaign.

        :param fields: the fields of :class:`.CreateCampaignOperator`, by keyword. A time needs an offset.
        :return: the campaign as OTPIQ returns it; its id is ``_id``.
        :raises OtpiqValidationError: also if a name matches no template or number, or several; and if the campaign
            would start automatically in the connection's quiet hours.
        :raises OtpiqConfigurationError: also if the campaign would start automatically and a guard rail is invalid.
        """
        request = campaigns.CreateCampaign.parse(**fields)
        if request.scheduled_for:
            self.guard_rails.check_scheduled_time(request.scheduled_for)
        return self._create_or_update("POST", _CAMPAIGNS, CreatedResponse, request)

    def update_campaign(
        self, *, check_before_attempt: Callable[[], None] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """
        Edit a campaign that is a draft or scheduled (``PATCH /whatsapp/campaigns/{_id}``).

        Only the fields that are set are changed; set at least one. A campaign that has started cannot be edited.

        :param check_before_attempt: called before each attempt; if it raises, nothing more is sent. None by default.
        :param fields: the fields of :class:`.UpdateCampaignOperator`, by keyword. A time needs an offset.
        :return: the campaign as OTPIQ returns it.
        :raises OtpiqError: as :meth:`create_campaign`; if the connection has quiet hours, also for a schedule without a
            time.
        """
        request = campaigns.UpdateCampaign.parse(**fields)
        if request.starts_automatically:
            self.guard_rails.check_scheduled_time(request.scheduled_for)
        path = f"{_CAMPAIGNS}/{request.campaign_id}"
        return self._create_or_update("PATCH", path, UpdatedResponse, request, check_before_attempt)

    def check_recipients(self, *, validate_parameters: bool = True, **fields: Any) -> ValidRecipients:
        """
        Validate recipients, and return them in the API's form, each person once. It sends no messages.

        :param validate_parameters: whether to check the template's required parameters, True by default.
        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: an iterable of recipients, as for :class:`.AttachRecipientsOperator`.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :param on_invalid: ``fail``, the default, refuses all recipients if any is invalid; ``skip`` leaves out the
            invalid ones of at most 100,000, and logs them with the reasons.
        :param null_values: as for :class:`.AttachRecipientsOperator`, which cleans values in the same way.
        :return: the recipients as they are sent, for :meth:`attach_recipients` or :meth:`send_sample`.
        :raises OtpiqValidationError: also if a recipient is invalid or not allowed; the text lists the positions.
        """
        request = RecipientsRequest.parse(**fields)
        guard_rails = self.guard_rails  # first, because this validates the connection
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

        Idempotent: OTPIQ skips the numbers that are already on the campaign. It is not an error if all are.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 recipients, as :meth:`check_recipients` accepts or returns them. A campaign has at
            most 1000 in total.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :return: the response's campaign, which is not documented, with ``_id``: a dict. Its attributes ``attached`` and
            ``already_attached`` are numbers of recipients, or None if the response does not contain them.
        :raises OtpiqValidationError: also, after the request, if the campaign exceeds ``max_recipients``.
        """
        valid = self.check_recipients(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region, validate_parameters=False
        )
        path = f"{_CAMPAIGNS}/{campaign_id}/recipients"
        if_lost = "The recipients may be attached. A retry attaches those that are missing; OTPIQ skips the others."
        try:
            response = self._client.request("POST", path, AttachResponse, valid, if_lost=if_lost)
        except OtpiqRequestError as error:
            if not all_already_attached(error):
                if may_be_all_attached(error):
                    doubt(error, "attach-all-present")
                raise
            return AttachedCampaign.unchanged(campaign_id, len(valid))
        campaign = AttachedCampaign({**(response.get("data") or {}), "_id": campaign_id})
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

        OTPIQ creates a separate campaign for it. It costs money and is not idempotent, so it is sent at most once.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 recipients, as :meth:`check_recipients` accepts or returns them.
        :param default_region: the country of national phone numbers, two letters, ``IQ`` by default.
        :param pending_marker: an object whose ``save_pending_marker(in_flight_for)`` is called before each attempt, and
            ``delete_pending_marker()`` after one that provably had no effect. None, the default, saves nothing.
        :return: the sample campaign as OTPIQ returns it; its id is ``_id``, this campaign's is ``sampleOfCampaign``.
        :raises OtpiqValidationError: also in the connection's quiet hours, which are checked before each attempt.
        :raises OtpiqOutcomeUnknownError: if whether it was sent is unknown.
        """
        valid = self.check_recipients(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region, validate_parameters=False
        )
        return self._send_at_most_once("sample", campaign_id, valid, pending_marker)

    def start_campaign(self, *, campaign_id: str, pending_marker: PendingMarker | None = None) -> dict[str, Any]:
        """
        Start a campaign now, even if it is scheduled for later (``POST /whatsapp/campaigns/{_id}/start``).

        It costs money and is not idempotent, so it is sent at most once. Guard rails do not cover recipients that were
        attached elsewhere: they cannot be read.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param pending_marker: as for :meth:`send_sample`.
        :return: the campaign as OTPIQ returns it.
        :raises OtpiqValidationError: as for :meth:`send_sample`.
        :raises OtpiqOutcomeUnknownError: if whether it has started is unknown.
        """
        request = campaigns.StartCampaign.parse(campaign_id=campaign_id)
        return self._send_at_most_once("start", request.campaign_id, None, pending_marker)

    def get_recipient_payload(
        self, *, campaign_id: str | None = None, template_id: str | None = None
    ) -> dict[str, Any]:
        """
        Read a template's required parameters (``GET /whatsapp/campaigns/recipient-payload``).

        :param campaign_id: a campaign's ``_id``, for its template; or
        :param template_id: a template's id. Set exactly one.
        :return: ``template``, ``fields`` and ``exampleRecipient``.
        """
        request = RecipientPayload.parse(campaign_id=campaign_id, template_id=template_id)
        return _data(self._client.request("GET", f"{_CAMPAIGNS}/recipient-payload?{request.query}", PayloadResponse))

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
        return self._client.request("GET", "/info", ProjectInfo)  # type: ignore[no-any-return]

    def generate_report(
        self, *, start: object, end: object, phone_numbers: object = None, statuses: object = None
    ) -> dict[str, Any]:
        """
        Generate a report of the messages in a period (``POST /reports/generate``), with delivery and cost.

        It is free and deleted after 30 days, so it is retried, which may leave a second report.

        :param start: the start of the period: a datetime or an ISO 8601 string, with an offset.
        :param end: its end, after ``start``.
        :param phone_numbers: the phone numbers of the messages, as recipients' numbers; None, the default, for
            everybody's. OTPIQ's limit is not documented.
        :param statuses: a list of ``pending``, ``sent``, ``delivered``, ``read`` and ``failed``; all by default.
        :return: the report as OTPIQ returns it. Anybody can read it with its ``downloadUrl``: keep that out of XCom and
            logs.
        """
        request = reports.GenerateReport.parse(start=start, end=end, phone_numbers=phone_numbers, statuses=statuses)
        with doubt_report(request.phone_numbers):
            return self._client.request(  # type: ignore[no-any-return]
                "POST", "/reports/generate", reports.Report, request.body(), is_idempotent=True
            )

    def list_reports(self, *, limit: int = 100, status: object = None) -> list[dict[str, Any]]:
        """
        List the project's reports (``GET /reports``).

        :param limit: the maximum number of reports, 1 to 500, 100 by default.
        :param status: a list of ``available``, ``expired`` and ``deleted``; all by default.
        :return: the reports as OTPIQ returns them.
        """
        request = reports.ListReports.parse(limit=limit, status=status)
        return self._client.request("GET", f"/reports?{request.query}", reports.ReportList)  # type: ignore[no-any-return]

    def download_report(self, *, report: Mapping[str, Any], destination: object) -> str:
        """
        Download a report's CSV file from its ``downloadUrl``, without the API key. An incomplete file is not written.

        The address must be https and public, after name resolution and after each of at most two redirects; the only
        exception is the connection's own scheme, host and port, where a sandbox keeps its files. A download is limited
        to 4 GiB and half an hour.

        :param report: the report, as :meth:`generate_report` or :meth:`list_reports` returns it.
        :param destination: the file's local path or URL, for ``ObjectStoragePath``. An existing file is replaced.
        :return: the destination.
        :raises OtpiqReportError: if the address is not safe.
        :raises OtpiqDownloadError: if the file is missing or incomplete; generate another report.
        """
        request = reports.DownloadReport.parse(report=report, destination=destination)
        report_id = f"report {sanitize(request.report.id)} (connection {self.otpiq_conn_id!r})"
        download = Download(request.report.download_url, request.report.record_count, report_id, self.settings)
        folder, name = find_object(request.destination)
        with folder.staged(name) as path:
            download.to_file(path)
        return request.destination

    # Airflow before 3.2 does not find these if they are inherited.
    get_ui_field_behaviour = staticmethod(field_behaviour)
    get_connection_form_widgets = staticmethod(widgets)

    def _create_or_update(
        self,
        method: str,
        path: str,
        model: type[CampaignResponse],
        request: campaigns.CreateCampaign | campaigns.UpdateCampaign,
        check: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        if request.has_names:
            request = request.resolve_ids(self.get_resources())
        with doubt_refusals(request):
            response = self._client.request(method, path, model, request.body(), if_lost=request.if_lost, check=check)
        campaign = _data(response)
        if request.scheduled_for:
            update = partial(self.update_campaign, check_before_attempt=check)
            require_same_time(update, campaign, request.scheduled_for)
        return campaign

    def _send_at_most_once(
        self, action: str, campaign_id: str, body: ValidRecipients | None, marker: PendingMarker | None
    ) -> dict[str, Any]:
        path, check = f"{_CAMPAIGNS}/{campaign_id}/{action}", partial(self.guard_rails.check_now, f"the {action}")
        return _data(self._client.request_at_most_once(path, CampaignResponse, body, check, marker))


def _data(response: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = response["data"]
    return data
