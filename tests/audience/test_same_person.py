"""One person, however the number is written, in an audience, a suppression list and the recipients of an attach."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from airflow_provider_otpiq._audience.prepare import prepare
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError

pytestmark = pytest.mark.slow

ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
REGIONS = ["SA", "AE", "TR", "JO", "EG", "DE", "US", "KZ", "RU", "GB", "SY", "IR"]
ANY_SPELLING: list[Callable[[str, str, str], str]] = [
    lambda code, national, _: f"+{code}{national}",
    lambda code, national, _: f"00{code} {national}",
    lambda code, national, _: f"+{code} ({national[:3]}) {national[3:]}",
    lambda code, national, _: f"\u202a+{code}\u00a0{national[:2]}-{national[2:]}\u202c",
    lambda code, national, _: f"whatsapp:+{code}{national}",
    lambda code, national, trunk: f"+{code}{trunk}{national}",
]
IRAQI_SPELLING: list[Callable[[str, str, str], str]] = [
    *ANY_SPELLING,
    lambda code, national, _: f"{code}{national}",
    lambda code, national, _: f"{code}{national}@c.us",
    lambda _, national, __: f"0{national}",
    lambda _, national, __: national,
    lambda _, national, __: f"'0{national}",
    lambda _, national, __: f"0{national}".translate(ARABIC),
    lambda code, national, _: f"{code}0{national}",
]
FLOAT: Callable[[str, str, str], str] = lambda _, national, __: f"{national}.0"  # noqa: E731
TAILS = [" (2)", "/1", "-2", " 0", "99", ".5"]


def random_person(choice: random.Random) -> tuple[str, str, str]:
    """The country code, the national number and the trunk prefix of somebody: half of them in Iraq."""
    if choice.random() < 0.5:
        return "964", f"7{choice.randrange(3, 10)}{choice.randrange(10**8):08}", "0"
    region = choice.choice(REGIONS)
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert example
    national = str(example.national_number)[:-4] + f"{choice.randrange(10**4):04}"
    trunk = {"US": "1", "KZ": "8", "RU": "8"}.get(region, "0")
    return str(example.country_code), national, trunk if choice.random() < 0.5 else ""


def spell(choice: random.Random, code: str, national: str, trunk: str) -> str:
    return choice.choice([*IRAQI_SPELLING, FLOAT] if code == "964" else ANY_SPELLING)(code, national, trunk)


def attached(written: list[str]) -> dict[int, str]:
    """What an attach makes of numbers, by position; those that are wrong or duplicates are left out."""
    validator = RecipientValidator(written, "IQ")
    return {position: recipient["phoneNumber"] for position, recipient in validator.valid.items()}


def prepared(tmp_path: Path, source: list[str], suppress: list[str]) -> set[str]:
    fields: dict[str, Any] = {"phone_number": "phone", "output": str(tmp_path / "audience"), "max_rejected": 1.0}
    request = AudienceRequest.parse(
        source=lambda: [{"phone": number} for number in source],
        suppress=lambda: [{"phone": number} for number in suppress],
        **fields,
    )
    audience = prepare(request).audiences[None]
    return {each["phoneNumber"] for part in audience.manifest.parts for each in audience.read_part(part)}


@pytest.mark.parametrize("seed", range(5))
def test_a_person_is_one_number_everywhere(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)  # noqa: S311
    people = {"".join(person[:2]): person for person in (random_person(choice) for _ in range(120))}
    opted_out = set(choice.sample(sorted(people), 40))
    source = [spell(choice, *person) for person in people.values() for _ in range(3)]
    suppress = [spell(choice, *people[number]) for number in sorted(opted_out)]
    assert prepared(tmp_path, source, suppress) == people.keys() - opted_out
    assert set(attached(source).values()) == people.keys()


@pytest.mark.parametrize("tail", TAILS)
def test_a_number_with_a_tail_is_nobodys(tmp_path: Path, tail: str) -> None:
    choice = random.Random(tail)  # noqa: S311
    iraqi = [f"7{choice.randrange(3, 10)}{choice.randrange(10**8):08}" for _ in range(100)]
    written = [choice.choice(["", "0", "964", "+964", "00964"]) + national + tail for national in iraqi]
    assert attached([*written, "+964 770 123 4567"]) == {100: "9647701234567"}
    assert prepared(tmp_path, [*written, "+964 770 123 4567"], []) == {"9647701234567"}
    with pytest.raises(OtpiqValidationError, match="suppress: row 1: phoneNumber "):
        prepared(tmp_path, ["+964 770 123 4567"], written[:1])
