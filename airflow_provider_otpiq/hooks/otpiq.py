"""The hook: an Airflow connection to OTPIQ, and one method for each of its endpoints."""

from __future__ import annotations

from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_otpiq._connection.form import widgets
from airflow_provider_otpiq._http.responses import accepted
from airflow_provider_otpiq._models.campaigns import (
    CampaignAnswer,
    CreateCampaign,
    ProjectInfo,
    StartCampaign,
    UpdateCampaign,
)
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.recipients import (
    AttachAnswer,
    AttachedCampaign,
    PayloadAnswer,
    RecipientPayload,
    Recipients,
    RecipientsRequest,
    were_all_attached_before,
)
from airflow_provider_otpiq._models.resources import ResourcesAnswer
from airflow_provider_otpiq._models.valid_recipients import ValidRecipients
from airflow_provider_otpiq._redaction import presentable
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqRequestError
from airflow_provider_otpiq.get_provider_info import FIELD_BEHAVIOUR
from airflow_provider_otpiq.hooks.base import NoPendingMarker, OtpiqBaseHook, PendingMarker

CreateOrUpdate = TypeVar("CreateOrUpdate", CreateCampaign, UpdateCampaign)


class OtpiqHook(OtpiqBaseHook):
    """
    Talk to OTPIQ's API with the credentials of an Airflow connection.

    The methods take the API's fields by keyword, in snake_case, and return plain dicts, so that a ``@task``
    function can use them. All calls go over one kept session. A request is repeated within a call, up to the
    connection's ``max_retries`` times, only if it is harmless to repeat (GET, PATCH) or provably had no effect
    (connection refused, 429), and each repeat is logged.

    :param otpiq_conn_id: the Airflow connection of type ``otpiq`` to use, ``otpiq_default`` by default.
    """

    def create_campaign(
        self,
        *,
        name: str,
        template_id: str | None = None,
        phone_number_id: str | None = None,
        schedule_type: str | None = None,
        scheduled_for: object = None,
        template_name: str | None = None,
        template_language: str | None = None,
        phone_number: str | None = None,
    ) -> dict[str, Any]:
        """
        Create a campaign without recipients (``POST /whatsapp/campaigns``).

        Never repeated where its outcome is unknown: that would leave a second campaign.

        :param name: its name, 3 to 80 characters.
        :param template_id: the id of its message template, 24 hexadecimal characters; or ``template_name``.
        :param phone_number_id: the id of the sending number, 24 hexadecimal characters; it must belong to the
            same WhatsApp Business Account as the template; or ``phone_number``.
        :param schedule_type: ``now`` (OTPIQ's default) saves a draft, which is started by hand; ``schedule`` saves
            a campaign that starts by itself at ``scheduled_for``.
        :param scheduled_for: when it starts, required with ``schedule`` and only allowed with it: a datetime or an
            ISO 8601 text, with an offset, in the future.
        :param template_name: the name of an approved template, looked up in :meth:`get_resources`.
        :param template_language: its language, where the name alone fits several.
        :param phone_number: a connected number, such as ``+964 770 123 4567``, looked up as well.
        :return: the campaign as OTPIQ answers it; its id is ``_id``.
        :raises OtpiqValidationError: if a field breaks a rule, or a name is not found or fits several; nothing was
            created.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = CreateCampaign.checked(
            name=name,
            template_id=template_id,
            phone_number_id=phone_number_id,
            schedule_type=schedule_type,
            scheduled_for=scheduled_for,
            template_name=template_name,
            template_language=template_language,
            phone_number=phone_number,
        )
        return self._campaign("POST", "/whatsapp/campaigns", self._with_ids(request).body())

    def update_campaign(
        self,
        *,
        campaign_id: str,
        name: str | None = None,
        template_id: str | None = None,
        phone_number_id: str | None = None,
        category: str | None = None,
        schedule_type: str | None = None,
        scheduled_for: object = None,
        template_name: str | None = None,
        template_language: str | None = None,
        phone_number: str | None = None,
    ) -> dict[str, Any]:
        """
        Edit a campaign that is a draft or scheduled (``PATCH /whatsapp/campaigns/{_id}``).

        Only what is given is changed, and at least one field must be. A campaign that has started cannot be edited.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters; not its ``campaignId``.
        :param name: a new name, 3 to 80 characters.
        :param template_id: the id of another template, 24 hexadecimal characters.
        :param phone_number_id: the id of another sending number, 24 hexadecimal characters.
        :param category: ``MARKETING`` or ``UTILITY``.
        :param schedule_type: ``schedule``, or ``now`` to take the campaign back to a draft without a time.
        :param scheduled_for: a new time to start at: a datetime or an ISO 8601 text, with an offset, in the
            future; not together with ``now``.
        :param template_name: the name of another approved template, instead of its id.
        :param template_language: its language, where the name alone fits several.
        :param phone_number: another connected number, instead of its id.
        :return: the campaign as OTPIQ answers it.
        :raises OtpiqValidationError: if a field breaks a rule, nothing is changed, or a name is not found or fits
            several; nothing was changed.
        :raises OtpiqConfigurationError: if the connection cannot be used, or the campaign is to start by itself and a
            guard rail cannot be understood; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = UpdateCampaign.checked(
            campaign_id=campaign_id,
            name=name,
            template_id=template_id,
            phone_number_id=phone_number_id,
            category=category,
            schedule_type=schedule_type,
            scheduled_for=scheduled_for,
            template_name=template_name,
            template_language=template_language,
            phone_number=phone_number,
        )
        if request.starts_by_itself:  # whom it holds would get the message
            self.check_connection()
        return self._campaign("PATCH", f"/whatsapp/campaigns/{request.campaign_id}", self._with_ids(request).body())

    def check_recipients(
        self,
        *,
        campaign_id: str,
        recipients: object,
        default_region: str = DEFAULT_REGION,
        validate_parameters: bool = True,
        on_invalid: str = "fail",
    ) -> ValidRecipients:
        """
        Check recipients and write their numbers in the API's form. Nobody gets a message.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: an iterable of dicts in the API's shape (``phoneNumber``, ``templateParameters``, and
            maybe a ``reference`` of your own, a string or an int, which is never sent and names the recipient in errors
            and logs), or of phone numbers where the template has no parameters. See
            :func:`.phone_numbers.in_api_form` for the numbers.
        :param default_region: the country of national phone numbers, two letters.
        :param validate_parameters: whether to ask OTPIQ which parameters the template requires, and check them too.
        :param on_invalid: ``fail`` refuses all recipients if any is wrong; ``skip`` leaves those out,
            and logs which and why.
        :return: the recipients in the API's shape, for :meth:`attach_recipients` or :meth:`send_sample`.
        :raises OtpiqValidationError: if a field or a recipient is wrong, or the connection does not allow it; the text
            lists each by its position, with the number masked.
        :raises OtpiqConfigurationError: if the connection, or a guard rail of it, cannot be understood.
        :raises AirflowNotFoundException: if there is no such connection.
        :raises OtpiqApiError: if OTPIQ does not tell the parameters.
        """
        request = RecipientsRequest.checked(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region, on_invalid=on_invalid
        )
        return self._checked(request, validate_parameters=validate_parameters)

    def attach_recipients(
        self, *, campaign_id: str, recipients: object, default_region: str = DEFAULT_REGION
    ) -> AttachedCampaign:
        """
        Add recipients to a draft or scheduled campaign (``POST /whatsapp/campaigns/{_id}/recipients``).

        Harmless to repeat: OTPIQ skips the numbers that are on the campaign already, and where it refuses because
        all of them are, nothing is added and that is no error.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 of them, as :meth:`check_recipients` takes or gives them. A campaign holds 1000
            in total.
        :param default_region: the country of national phone numbers, two letters.
        :return: what the response holds of the campaign, which is not documented, and ``_id``: a dict, whose attributes
            ``attached`` and ``already_attached`` are the numbers of recipients as far as the response tells, else None.
        :raises OtpiqValidationError: if a field or a recipient is wrong, or the connection does not allow it; nothing
            was sent. Also, after it was sent, if OTPIQ answers that the campaign now holds more than the connection's
            ``max_recipients``.
        :raises OtpiqConfigurationError: if the connection, or a guard rail of it, cannot be understood; nothing was
            sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = RecipientsRequest.checked(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region
        )
        campaign = self._attach(request.campaign_id, self._checked(request))
        self.guard_rails.allow_total(campaign)
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
        Send a campaign's message to a few people at once (``POST /whatsapp/campaigns/{_id}/sample``).

        OTPIQ makes a separate campaign of it, and leaves this one as it is. It costs money, so it is never repeated
        where its outcome is unknown.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param recipients: 1 to 1000 of them, as :meth:`check_recipients` takes or gives them.
        :param default_region: the country of national phone numbers, two letters.
        :param pending_marker: what is told before each attempt, and after one that provably had no effect; the
            operators save it in the task's state.
        :return: the sample campaign as OTPIQ answers it; its id is ``_id``, the other's ``sampleOfCampaign``.
        :raises OtpiqValidationError: as :meth:`attach_recipients`.
        :raises OtpiqConfigurationError: as :meth:`attach_recipients`.
        :raises AirflowNotFoundException: as :meth:`attach_recipients`.
        :raises OtpiqOutcomeUnknownError: if nobody knows whether it was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or cannot be reached.
        """
        request = RecipientsRequest.checked(
            campaign_id=campaign_id, recipients=recipients, default_region=default_region
        )
        path = f"/whatsapp/campaigns/{request.campaign_id}/sample"
        return self._campaign("POST", path, self._checked(request), pending_marker or NoPendingMarker())

    def start_campaign(self, *, campaign_id: str, pending_marker: PendingMarker | None = None) -> dict[str, Any]:
        """
        Start a draft or scheduled campaign (``POST /whatsapp/campaigns/{_id}/start``): its messages go out.

        It costs money, so it is never repeated where its outcome is unknown. Whom the campaign holds cannot be asked,
        so recipients that were attached elsewhere are not seen by the connection's guard rails.

        :param campaign_id: the campaign's ``_id``, 24 hexadecimal characters.
        :param pending_marker: as for :meth:`send_sample`.
        :return: the campaign as OTPIQ answers it.
        :raises OtpiqValidationError: if the id is wrong; nothing was sent.
        :raises OtpiqConfigurationError: if the connection, or a guard rail of it, cannot be understood; nothing was
            sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqOutcomeUnknownError: if nobody knows whether it has started.
        :raises OtpiqApiError: if OTPIQ refuses, or cannot be reached.
        """
        request = StartCampaign.checked(campaign_id=campaign_id)
        self.check_connection()
        path = f"/whatsapp/campaigns/{request.campaign_id}/start"
        return self._campaign("POST", path, None, pending_marker or NoPendingMarker())

    def get_recipient_payload(
        self, *, campaign_id: str | None = None, template_id: str | None = None
    ) -> dict[str, Any]:
        """
        Read what each recipient must carry (``GET /whatsapp/campaigns/recipient-payload``).

        :param campaign_id: a campaign's ``_id``, whose template is meant; or
        :param template_id: a template's id. Exactly one of both.
        :return: ``template``, ``fields`` and ``exampleRecipient``.
        :raises OtpiqValidationError: if none, both or a wrong one is given; nothing was sent.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        request = RecipientPayload.checked(campaign_id=campaign_id, template_id=template_id)
        path = f"/whatsapp/campaigns/recipient-payload?{request.query}"
        payload: dict[str, Any] = self._call("GET", path, PayloadAnswer)["data"]
        return payload

    def get_resources(self) -> dict[str, Any]:
        """
        Read the project's WhatsApp accounts, with their templates and phone numbers (``GET /whatsapp/resources``).

        :return: ``project``, ``summary`` and ``businesses``.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        resources: dict[str, Any] = self._call("GET", "/whatsapp/resources", ResourcesAnswer)["data"]
        return resources

    def get_project_info(self) -> dict[str, Any]:
        """
        Read the project's name and credit (``GET /info``).

        :return: ``projectName``, and ``credit`` in IQD.
        :raises OtpiqConfigurationError: if the connection cannot be used; nothing was sent.
        :raises AirflowNotFoundException: if there is no such connection; nothing was sent.
        :raises OtpiqApiError: if OTPIQ refuses, or gives no answer or a wrong one.
        """
        return self._call("GET", "/info", ProjectInfo)

    def test_connection(self) -> tuple[bool, str]:
        """
        Check the connection with a single ``GET /info``, for the Test button of Airflow's connection form.

        It runs in Airflow's API server, so it never waits for a repeat.

        :return: whether it works, and what a person should know: the project's name and remaining credit, or
            what is wrong.
        """
        try:
            self.check_connection()
            info = accepted(self._send("GET", "/info", None), ProjectInfo)
        except (OtpiqError, AirflowNotFoundException) as error:
            # Airflow tests under a made-up id, which says nothing to anybody.
            return False, str(error).replace(repr(self.otpiq_conn_id), "under test")
        credit = "unknown" if info.get("credit") is None else f"{float(info['credit']):,.0f} IQD"
        return True, f"Connected to OTPIQ project {presentable(info['projectName'])!r}; remaining credit: {credit}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """
        Describe the connection form to Airflow before 3.2, which does not read it from the provider info.

        :return: what provider info says, by the names that these versions use.
        """
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """
        Make the connection form's own fields for Airflow before 3.2.

        :return: a WTForms field for each extra of the connection.
        """
        return widgets()

    def _with_ids(self, request: CreateOrUpdate) -> CreateOrUpdate:
        return request.with_ids(self.get_resources()) if request.has_names else request

    def _checked(self, request: RecipientsRequest, *, validate_parameters: bool = False) -> ValidRecipients:
        self.check_connection()
        checked = request.recipients
        if isinstance(checked, ValidRecipients):
            self.guard_rails.allow(checked)
        else:
            recipients = Recipients(checked, request.default_region)
            self.guard_rails.allow(recipients)
            if validate_parameters:
                recipients.require(self.get_recipient_payload(campaign_id=request.campaign_id))
            checked = recipients.taken(skip_invalid=request.on_invalid == "skip")
        self.guard_rails.allow_count(len(checked))
        return checked

    def _attach(self, campaign_id: str, recipients: ValidRecipients) -> AttachedCampaign:
        try:
            response = self._call("POST", f"/whatsapp/campaigns/{campaign_id}/recipients", AttachAnswer, recipients)
        except OtpiqRequestError as error:
            if not were_all_attached_before(error):
                raise
            campaign = AttachedCampaign(_id=campaign_id)
            campaign.attached, campaign.already_attached = 0, recipients.distinct
            return campaign
        return AttachedCampaign({**(response.get("data") or {}), "_id": campaign_id})

    def _campaign(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | ValidRecipients | None,
        at_most_once: PendingMarker | None = None,
    ) -> dict[str, Any]:
        campaign: dict[str, Any] = self._call(method, path, CampaignAnswer, body, at_most_once=at_most_once)["data"]
        return campaign
