"""
What this provider assumes about OTPIQ's API, because OTPIQ does not document it, or nobody has seen it yet.

The sandbox behaves as assumed, and can deviate from assumptions by their ids. Comments in the code name the ids.
"""

from __future__ import annotations

from typing import NamedTuple


class Assumption(NamedTuple):
    """Something that is assumed about OTPIQ's API."""

    id: str
    """Its short name, such as ``attach-all-present``."""
    text: str
    """What is assumed."""
    affects: str
    """Which feature relies on it."""
    if_wrong: str
    """What to do if it is wrong."""
    checkable: bool = True
    """Whether ``otpiq-check`` can check it without sending a message."""


_NOTHING = "Nothing: no operator relies on it. Only a test on the sandbox behaves differently."
_NOT_CHECKABLE = False

_ASSUMPTIONS = (
    # Create and update.
    Assumption(
        "create-status",
        "A create returns 201.",
        "Nothing: the provider accepts each status of 200 to 299.",
        _NOTHING,
    ),
    Assumption(
        "create-shape",
        'A create returns {"success": true, "data": {…}} with the campaign in data.',
        "CreateCampaignOperator, CreateBroadcastOperator: they fail, and leave empty drafts.",
        "Do not use these operators until this provider is upgraded.",
    ),
    Assumption(
        "campaign-id",
        "The _id of a campaign is a string of 24 hexadecimal characters.",
        "All operators of campaigns: a create fails, and leaves an empty draft.",
        "Do not use the operators of campaigns until this provider is upgraded.",
    ),
    Assumption(
        "update-status",
        "An update returns 200.",
        "Nothing: the provider accepts each status of 200 to 299.",
        _NOTHING,
    ),
    Assumption(
        "update-shape",
        'An update returns {"success": true, "data": {…}} with the campaign in data.',
        "UpdateCampaignOperator, StartBroadcastOperator and StopBroadcastOperator: they fail, although OTPIQ has made"
        " the change.",
        "Do not use these operators until this provider is upgraded. After a failed start of a broadcast, check in"
        " OTPIQ's dashboard which campaigns are scheduled.",
    ),
    Assumption(
        "update-recipients",
        "An update returns totalRecipients, the number of recipients on the campaign.",
        "Broadcasts: they compare this number with the part of the audience.",
        "Compare the number of recipients in OTPIQ's dashboard before a broadcast starts.",
    ),
    Assumption(
        "update-cost",
        "An update returns estimatedTotalCost, in IQD.",
        "StartBroadcastOperator: it compares the credit with the cost of the campaigns.",
        "Compare the credit with the cost in OTPIQ's dashboard before a broadcast starts.",
    ),
    Assumption(
        "attach-counts-at-once",
        "An attach has taken effect when its response arrives: totalRecipients counts its numbers.",
        "CreateBroadcastOperator: it fails if a campaign has no recipients after the attach.",
        "Do not use CreateBroadcastOperator until this provider is upgraded.",
    ),
    Assumption(
        "name-limits",
        "A name of less than 3 or more than 80 characters returns 400.",
        "Nothing: the provider refuses such names itself.",
        _NOTHING,
    ),
    Assumption(
        "name-reuse",
        "Several campaigns may have the same name.",
        "CreateCampaignOperator, CreateBroadcastOperator: after a lost response they create the campaign again.",
        "If a create fails because the name is taken, delete the empty draft in OTPIQ's dashboard and clear the task.",
        _NOT_CHECKABLE,
    ),
    Assumption(
        "unknown-fields",
        "A request with an unknown field returns 400.",
        "Nothing: the provider sends only documented fields.",
        _NOTHING,
    ),
    # Errors.
    Assumption(
        "error-body",
        'A 400 has the body {"error": "…"}, as OTPIQ documents for its SMS API.',
        "Errors: they do not show OTPIQ's message. A retried attach, and a start whose campaign has started, fail.",
        "Check failed campaigns in OTPIQ's dashboard.",
    ),
    Assumption(
        "unknown-campaign",
        'An unknown campaign returns 404, with the body {"message": "…"}.',
        "Broadcasts: the error of a connection to another project does not name the projects.",
        "If OTPIQ refuses all campaigns, check that the connection belongs to the project that created them.",
    ),
    Assumption(
        "credit-error",
        "A start or a sample that costs more than the credit returns 400 with requiredCredit.",
        "StartCampaignOperator, SendSampleOperator: the error does not advise to top up.",
        "Compare the credit with the cost before a start.",
        _NOT_CHECKABLE,
    ),
    Assumption(
        "state-refusal",
        "A change to a campaign that has started returns 409, or 400 with the documented words: draft or scheduled.",
        "StartBroadcastOperator, StopBroadcastOperator: a retry fails if the campaign has started meanwhile.",
        "If a start of a broadcast fails, check in OTPIQ's dashboard which campaigns have started.",
        _NOT_CHECKABLE,
    ),
    Assumption(
        "started-refused",
        "A change to a campaign that has started is refused, and never starts it again.",
        "StartBroadcastOperator: after a lost response it schedules the same campaign again.",
        "Do not retry a start of a broadcast. Set retries=0, and check in OTPIQ's dashboard which campaigns started.",
        _NOT_CHECKABLE,
    ),
    # Schedules.
    Assumption(
        "past-time-refused",
        "A schedule in the past returns 400.",
        "StartBroadcastOperator: a request that arrives after its time starts the campaign immediately.",
        "Set lead_time to more than the time that requests take.",
    ),
    Assumption(
        "time-offset",
        "The offset of scheduledFor is obeyed: a response has the same instant.",
        "All schedules: the task fails, and makes the campaign a draft again so that it starts at no wrong time.",
        "Do not schedule campaigns until this provider is upgraded. StartCampaignOperator does not need a time.",
    ),
    Assumption(
        "schedule-far-ahead",
        "A campaign can be scheduled a year ahead.",
        "CreateCampaignOperator, UpdateCampaignOperator and StartBroadcastOperator with a time that is far ahead.",
        "Schedule campaigns later, for a time that is closer.",
    ),
    Assumption(
        "schedule-empty",
        "A campaign without recipients can be scheduled.",
        "CreateCampaignOperator with schedule_type='schedule'.",
        "Create a draft, attach the recipients, and schedule it with UpdateCampaignOperator.",
    ),
    Assumption(
        "time-alone",
        "An update with only scheduledFor is accepted.",
        "UpdateCampaignOperator with scheduled_for and without schedule_type.",
        "Set schedule_type='schedule' too.",
    ),
    Assumption(
        "time-alone-keeps-draft",
        "An update with only scheduledFor does not schedule a draft.",
        "UpdateCampaignOperator with scheduled_for and without schedule_type: the campaign starts at that time.",
        "Set schedule_type too, always.",
        _NOT_CHECKABLE,
    ),
    Assumption(
        "schedule-alone",
        "An update with only scheduleType schedule keeps the campaign's time.",
        "UpdateCampaignOperator with schedule_type='schedule' and without scheduled_for.",
        "Set scheduled_for too.",
    ),
    Assumption(
        "back-to-draft",
        "An update with scheduleType now makes a scheduled campaign a draft again.",
        "StopBroadcastOperator, and UpdateCampaignOperator with schedule_type='now'.",
        "Stop campaigns in OTPIQ's dashboard.",
    ),
    Assumption(
        "null-clears-time",
        "An update with scheduleType now and scheduledFor null deletes the time.",
        "StopBroadcastOperator: it fails, because it cannot see that the campaign is a draft.",
        "Stop campaigns in OTPIQ's dashboard.",
    ),
    Assumption(
        "schedule-without-credit",
        "A scheduled campaign starts at its time, even if it costs more than the credit.",
        "StartBroadcastOperator compares the credit only when it schedules.",
        "Keep enough credit until the last campaign has started.",
        _NOT_CHECKABLE,
    ),
    # Recipients.
    Assumption(
        "attach-shape",
        'An attach returns {"success": true, "data": {…}} with the campaign in data.',
        "AttachRecipientsOperator: totals in XCom are missing. max_recipients of the connection limits each attach, but"
        " not their sum, with a WARNING.",
        "Do not rely on these totals. CreateBroadcastOperator reads them with an update instead.",
    ),
    Assumption(
        "attach-all-present",
        "If all numbers are already on the campaign, an attach returns 400 with the words all … already on.",
        "AttachRecipientsOperator: a retry fails. CreateBroadcastOperator: it replaces the draft by another one.",
        "If a retried attach fails with OTPIQ's message about this, mark the task as success.",
    ),
    Assumption(
        "plus-refused",
        "A recipient's phone number with a plus returns 400.",
        "Nothing: the provider sends digits.",
        _NOTHING,
    ),
    Assumption(
        "line-break-accepted",
        "An attach accepts a parameter with a line break, and only the message fails later.",
        "Nothing: the provider removes line breaks.",
        _NOTHING,
    ),
    Assumption(
        "button-parameters",
        "A button's parameter is nested: templateParameters.buttons.0.1.",
        "Templates with parameters in buttons.",
        "Do not use templates with parameters in buttons.",
        _NOT_CHECKABLE,
    ),
    # Resources and limits.
    Assumption(
        "resource-values",
        "The statuses of templates and numbers are Meta's, such as APPROVED and CONNECTED.",
        "Operators that accept names, and StartBroadcastOperator: it refuses templates that are not APPROVED.",
        "Set ids instead of names. Set check_health=False.",
    ),
    Assumption(
        "rate-limit",
        "No response announces a rate limit for requests about campaigns.",
        "Broadcasts: large ones send thousands of requests. A 429 makes them wait, and then fail.",
        "Use fewer shards. Clear a task that failed with a 429.",
    ),
    # Delivery reports.
    Assumption(
        "report-shape",
        "A report is the response itself, without success and data.",
        "DeliveryReportOperator, DeliverySensor: they fail.",
        "Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-empty",
        "A report of a period without messages exists, with a recordCount of 0 and a file with only a header.",
        "DeliveryReportOperator, DeliverySensor: they fail if no messages exist yet.",
        "Start the sensor after the first campaign.",
    ),
    Assumption(
        "report-columns",
        "The file of a report has the documented columns, as CSV with commas.",
        "DeliveryReportOperator, DeliverySensor: they fail.",
        "Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-times",
        "The times in a report have an offset or Z.",
        "DeliveryReportOperator, DeliverySensor: they fail.",
        "Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-host",
        "downloadUrl is https on a public host.",
        "DeliveryReportOperator, DeliverySensor: they fail, because the address is not safe.",
        "Ask OTPIQ. Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-download",
        "The file of a report can be downloaded without the API key.",
        "DeliveryReportOperator, DeliverySensor: they fail.",
        "Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-record-count",
        "recordCount is the number of rows in the file.",
        "DeliveryReportOperator, DeliverySensor: they fail, because the file seems to be incomplete.",
        "Do not use these until this provider is upgraded. Messages are not affected.",
    ),
    Assumption(
        "report-phone-numbers",
        "The phone numbers in a report are complete, in digits with the country code, with or without a plus.",
        "DeliveryReportOperator, DeliverySensor with an audience or a broadcast: all recipients are unmatched, with a"
        " WARNING.",
        "Set only start and end, for a report of everybody's messages.",
    ),
    Assumption(
        "report-statuses",
        "The statuses in a report are pending, sent, delivered, read and failed.",
        "DeliverySensor: it does not end. DeliveryReportOperator: counts miss messages.",
        "Use DeliveryReportOperator, and count the statuses in its file.",
    ),
    Assumption(
        "report-1000-numbers",
        "A report can be requested for 1,000 phone numbers.",
        "DeliveryReportOperator with an audience or a broadcast.",
        "Set only start and end, for a report of everybody's messages.",
    ),
    Assumption(
        "report-message-type",
        "The type of a campaign's messages in a report is WhatsApp Template.",
        "DeliveryReportOperator, DeliverySensor with a broadcast: no message is counted, with a WARNING.",
        "Set message_types to the type that the WARNING lists.",
        _NOT_CHECKABLE,
    ),
    Assumption(
        "report-created-at",
        "A message is created when its campaign starts, and a report has those that are created in its period.",
        "DeliveryReportOperator, DeliverySensor with a broadcast: messages are missing, as the report begins with the"
        " first start. If all are missing, a WARNING.",
        "Set start to the time of the create.",
        _NOT_CHECKABLE,
    ),
)

ASSUMPTIONS = {assumption.id: assumption for assumption in _ASSUMPTIONS}
"""All assumptions by their ids."""
