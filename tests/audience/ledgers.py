"""What a create does to an audience before its first campaign."""

import json

from airflow_provider_otpiq._audience.manifest import IN_USE, Manifest
from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._ledger.records import Broadcast
from tests.fakes import CAMPAIGN_ID


def use(output: Output, manifest: Manifest) -> Ledger:
    """Begin a ledger of an audience, and mark the audience as in use."""
    request = Broadcast(
        request={"name": "Summer"},
        audience=output.location_of(None),
        audience_checksum=manifest.checksum,
        template_id=CAMPAIGN_ID,
        phone_number_id=CAMPAIGN_ID,
    )
    ledger = Ledger.begin(f"{output.folder}/ledger", request)
    output.folder.write(IN_USE, json.dumps({"ledger": ledger.location}).encode())
    return ledger
