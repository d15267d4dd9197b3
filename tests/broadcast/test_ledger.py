"""The ledger's objects, where something else has its hands in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq._ledger import Campaign, Ledger
from tests.fakes import CAMPAIGN_ID

if TYPE_CHECKING:
    from pathlib import Path


def test_an_object_that_exists_and_cannot_be_read_is_nobodys_claim(tmp_path: Path) -> None:
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns" / "00000.json").symlink_to("nowhere")  # there, and yet nothing can be read
    with pytest.raises(FileNotFoundError, match=r"campaigns/00000.json was there, and is gone.*clear the task"):
        Ledger(str(tmp_path)).claim_campaign("00000", Campaign(campaign_id=CAMPAIGN_ID))
