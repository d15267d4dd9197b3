"""The requests about recipients, and what an attach returns."""

from collections.abc import Iterator
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.attach_response import all_already_attached
from airflow_provider_otpiq._recipients.requests import RecipientPayload, RecipientsRequest
from airflow_provider_otpiq.exceptions import OtpiqRequestError, OtpiqValidationError
from tests.fakes import CAMPAIGN_ID, TEMPLATE_ID
from tests.recipients.recipients import NUMBER, ali


class DataFrame:
    """Iterating over one of pandas gives the names of its columns."""

    def iterrows(self) -> None: ...

    def __iter__(self) -> Iterator[str]:
        return iter([NUMBER])


@pytest.mark.parametrize(
    "recipients",
    [DataFrame(), NUMBER, f"['{NUMBER}']", NUMBER.encode(), ali(), 5, [], None, "people.xlsx", "s3://b/people.JSONL"],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_anything_but_an_iterable_of_recipients_is_refused(recipients: Any, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=recipients)
    assert [error.partition(":")[0] for error in caught.value.errors] == ["recipients"]
    assert NUMBER not in str(caught.value)
    assert str(caught.value) == snapshot


def test_everything_wrong_with_a_request_is_one_error(snapshot: SnapshotAssertion) -> None:
    wrong = {"campaign_id": "x", "recipients": [], "default_region": "Iraq", "on_invalid": "drop", "null_values": "-"}
    with pytest.raises(OtpiqValidationError) as caught:
        RecipientsRequest.parse(**wrong)
    assert {error.partition(":")[0] for error in caught.value.errors} == set(wrong)
    assert str(caught.value) == snapshot


@pytest.mark.parametrize("null_values", ["NULL", 5, [None]])
def test_null_values_are_a_list_of_strings(null_values: Any) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=[ali()], null_values=null_values)
    assert caught.value.errors[0].startswith("null_values")


def test_the_default_null_values_are_those_of_an_audience() -> None:
    request = RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=[ali()], null_values=None)
    assert request.null_values == NULL_VALUES


@pytest.mark.parametrize(
    "fields",
    [{}, {"campaign_id": CAMPAIGN_ID, "template_id": TEMPLATE_ID}, {"campaign_id": "../x"}],
    ids=["none", "both", "invalid"],
)
def test_a_payload_is_of_exactly_one_of_them(fields: dict[str, str], snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        RecipientPayload.parse(**fields)
    assert caught.value.errors == snapshot


# The one 400 that is a success


@pytest.mark.parametrize(
    "words",
    [
        "All of these recipients are already on this campaign",
        "All recipients already exist in this campaign",
        "every phone number is already on the campaign",
        "All numbers have already been added",
    ],
)
def test_an_attach_of_attached_recipients_is_recognized(words: str) -> None:
    assert all_already_attached(OtpiqRequestError("no", status_code=400, server_message=words))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, None),
        (400, "Campaign has already started"),
        (400, "No new recipients can be added: the campaign was already sent"),
        (400, "All recipients are already unsubscribed"),
        (400, "Each recipient has already received a message today"),
        (400, "All recipients were already messaged in a previous campaign"),
        (400, "All phone numbers already exist in another campaign"),
        (400, "Campaign already archived, all recipients are in it"),
        (400, "All recipients must be added before the campaign is already running"),
        (400, "Campaign already has 1000 recipients"),
        (400, "A campaign can hold at most 1000 recipients; all of its places are already taken (limit)"),
        (400, "Insufficient credit for all recipients"),
        (422, "All recipients already exist in this campaign"),
    ],
)
def test_no_other_refusal_is_taken_for_it(status: int, words: str | None) -> None:
    assert not all_already_attached(OtpiqRequestError("no", status_code=status, server_message=words))
