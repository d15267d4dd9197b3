"""The objects of a ledger that something else has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq._audience.manifest import Part
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._ledger.records import Broadcast, Campaign
from tests.fakes import CAMPAIGN_ID

if TYPE_CHECKING:
    from pathlib import Path


def test_an_object_that_exists_but_cannot_be_read_is_not_claimed(tmp_path: Path) -> None:
    request = Broadcast(
        request={}, audience="", audience_checksum="", template_id=CAMPAIGN_ID, phone_number_id=CAMPAIGN_ID
    )
    ledger = Ledger.begin(str(tmp_path), request)
    campaigns = tmp_path / request.id / "campaigns"
    campaigns.mkdir()
    (campaigns / "00000.json").symlink_to("nowhere")
    part = Part(path="parts/00000.json", recipients=1, sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match=r"campaigns/00000.json: exists, but cannot be read"):
        ledger.claim(part, Campaign(campaign_id=CAMPAIGN_ID))
