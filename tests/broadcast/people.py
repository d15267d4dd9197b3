"""A prepared audience, as `PrepareAudienceOperator` writes it, and who gets its messages in the sandbox."""

import json
from collections import Counter
from hashlib import sha256
from typing import Any

from airflow_provider_otpiq._audience.manifest import MANIFEST, Counts, Manifest, Part
from airflow_provider_otpiq._storage import Folder
from airflow_provider_otpiq.sandbox import Sandbox

PART_SIZE = 3
PRICE = 12
"""Of a message, in IQD."""
TEMPLATE: dict[str, Any] = {
    "template_name": "summer_promo",
    "template_language": "ar",
    "phone_number": "+964 770 123 4567",
}


def number(of: int) -> str:
    return f"96477{of:08}"


def write_audience(
    location: str, parts: int = 3, part_size: int = PART_SIZE, first: int = 0, name: str = "Zaynab"
) -> str:
    folder, written = Folder(location), []
    for index in range(parts):
        people = [number(first + index * part_size + position) for position in range(part_size)]
        recipients = [
            {"phoneNumber": each, "templateParameters": {"body": {"1": name}}, "reference": f"C-{each[-3:]}"}
            for each in people
        ]
        content = json.dumps(recipients).encode()
        part = Part(path=f"parts/{index:05}.json", recipients=part_size, sha256=sha256(content).hexdigest())
        folder.write(part.path, content)
        written.append(part)
    everybody = parts * part_size
    counts = Counts(rows=everybody, recipients=everybody, duplicates=0, suppressed=0, rejected=0)
    manifest = Manifest(source=["people.csv"], template_parameters={"body": ["1"]}, counts=counts, parts=written)
    folder.write(MANIFEST, manifest.to_json())
    return folder.location_of(MANIFEST)


def messaged(sandbox: Sandbox) -> Counter[str]:
    """Count the campaigns of each number that are scheduled, running or completed."""
    return Counter(
        each
        for campaign in sandbox.campaigns
        if campaign["status"] != "draft"
        for each in sandbox.recipients(campaign["_id"])
    )


def everybody(parts: int = 3, part_size: int = PART_SIZE) -> Counter[str]:
    return Counter({number(each): 1 for each in range(parts * part_size)})
