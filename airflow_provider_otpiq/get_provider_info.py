"""What Airflow discovers of this provider, with the connection form: pure data, without imports."""

from __future__ import annotations

# The connection form. Airflow 3.2+ reads it here, older versions through the hook's methods.
# The types allow null because a form sends null for a blank field.
CONNECTION_FIELDS = {
    "connect_timeout": {
        "label": "Connect timeout (s)",
        "description": "Seconds to wait for a connection to OTPIQ: up to 60, 5 by default.",
        "schema": {"type": ["number", "null"], "default": 5, "minimum": 0.1, "maximum": 60},
    },
    "read_timeout": {
        "label": "Read timeout (s)",
        "description": "Seconds to wait for OTPIQ's response: up to 600, 30 by default.",
        "schema": {"type": ["number", "null"], "default": 30, "minimum": 0.1, "maximum": 600},
    },
    "max_retries": {
        "label": "Max HTTP retries",
        "description": (
            "The maximum of HTTP retries in one call, for requests that can be retried safely: up to 10, 2 by default,"
            " 0 for none. Airflow's task retries are separate."
        ),
        "schema": {"type": ["integer", "null"], "default": 2, "minimum": 0, "maximum": 10},
    },
    "allow_insecure_http": {
        "label": "Allow insecure http",
        "description": "Send the API key over plain http to another machine. Only for a sandbox in a container.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "allowed_recipients": {
        "label": "Allowed recipients",
        "description": (
            "Phone numbers or their prefixes that may get messages over this connection, separated by commas:"
            " +964770, 07801234567. In production, set +964. Blank allows all."
        ),
        "schema": {"type": ["string", "null"], "default": None},
    },
    "max_recipients": {
        "label": "Max recipients",
        "description": "The maximum of recipients in a campaign over this connection: up to 1000. Blank sets no limit.",
        "schema": {"type": ["integer", "null"], "default": None, "minimum": 1, "maximum": 1000},
    },
    "max_broadcast_recipients": {
        "label": "Max broadcast recipients",
        "description": "The maximum of recipients in a broadcast over this connection. Blank sets no limit.",
        "schema": {"type": ["integer", "null"], "default": None, "minimum": 1},
    },
    "quiet_hours": {
        "label": "Quiet hours",
        "description": (
            "Times at which campaigns must not start and samples must not be sent over this connection, with an IANA"
            " timezone, separated by commas: 21:00-09:00 Asia/Baghdad. Blank allows every time."
        ),
        "schema": {"type": ["string", "null"], "default": None},
    },
    "dashboard_url": {
        "label": "Dashboard URL",
        "description": (
            "The URL of a campaign in OTPIQ's dashboard, with {campaign_id} for its _id, for a link from each task."
            " Blank shows no link."
        ),
        "schema": {"type": ["string", "null"], "default": None},
    },
}
FIELD_BEHAVIOUR = {
    # The port stays visible: the Test button of Airflow 3.3.1 and 3.3.2 sends an empty port as 0, so the connection
    # differs from the saved one, and the saved key is not used (apache/airflow#73298).
    "hidden-fields": ["login", "schema"],
    "relabeling": {"host": "Base URL", "password": "API key"},
    "placeholders": {
        "host": "https://api.otpiq.com/api",
        "password": "sk_live_…",
        "port": "443",
    },
}


# For Airflow 3, and by the older name for Airflow 2. The handler None accepts every URI of the scheme.
_ASSET_URIS = [
    {
        "schemes": ["otpiq"],
        "handler": None,
        "to_openlineage_converter": "airflow_provider_otpiq.operators._asset_uris.to_openlineage",
    }
]


def get_provider_info() -> dict[str, object]:
    """
    Describe the provider to Airflow.

    :return: provider info by Airflow's ``provider_info.schema.json``.
    """
    return {
        "package-name": "airflow-provider-otpiq",
        "name": "OTPIQ",
        "description": "Create, schedule and start WhatsApp campaigns, and report on them, with `OTPIQ <https://docs.otpiq.com>`__.",
        "integrations": [
            {
                "integration-name": "OTPIQ",
                "external-doc-url": "https://docs.otpiq.com",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {"integration-name": "OTPIQ", "python-modules": ["airflow_provider_otpiq.hooks.otpiq"]},
        ],
        "operators": [
            {
                "integration-name": "OTPIQ",
                "python-modules": [
                    "airflow_provider_otpiq.operators.audience",
                    "airflow_provider_otpiq.operators.broadcast",
                    "airflow_provider_otpiq.operators.campaign",
                    "airflow_provider_otpiq.operators.report",
                ],
            },
        ],
        "sensors": [
            {"integration-name": "OTPIQ", "python-modules": ["airflow_provider_otpiq.sensors.report"]},
        ],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,
        "extra-links": ["airflow_provider_otpiq.operators._base.OtpiqDashboardLink"],
        "connection-types": [
            {
                "connection-type": "otpiq",
                "hook-class-name": "airflow_provider_otpiq.hooks.otpiq.OtpiqHook",
                "hook-name": "OTPIQ",
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
            }
        ],
    }
