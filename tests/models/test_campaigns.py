from typing import Any

import pendulum
import pytest

from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.fakes import CAMPAIGN_ID, CREATE, CREATE_BODY, tomorrow

NOT_SET = [None, "", "None"]


def errors_of(model: type[CreateCampaign | UpdateCampaign], **fields: Any) -> tuple[str, ...]:
    with pytest.raises(OtpiqValidationError) as caught:
        model.parse(**fields)
    for error in caught.value.errors:
        assert error in str(caught.value)
    return caught.value.errors


def create_errors(**fields: Any) -> tuple[str, ...]:
    return errors_of(CreateCampaign, **(CREATE | fields))


def update_errors(**fields: Any) -> tuple[str, ...]:
    return errors_of(UpdateCampaign, **({"campaign_id": CAMPAIGN_ID} | fields))


def test_a_draft_has_only_what_was_set() -> None:
    assert CreateCampaign.parse(**CREATE).body() == CREATE_BODY
    assert CreateCampaign.parse(**CREATE, schedule_type="now").body() == CREATE_BODY | {"scheduleType": "now"}


@pytest.mark.parametrize("absent", NOT_SET)
def test_a_blank_form_field_is_not_set(absent: str | None) -> None:
    assert CreateCampaign.parse(**CREATE, schedule_type=absent, scheduled_for=absent).body() == CREATE_BODY
    update = UpdateCampaign.parse(campaign_id=CAMPAIGN_ID, name="Winter", category=absent, scheduled_for=absent)
    assert update.body() == {"name": "Winter"}


@pytest.mark.parametrize("absent", NOT_SET)
@pytest.mark.parametrize(
    ("field", "alternative"),
    [
        ("name", ""),
        ("template_id", ": set it or `template_name`"),
        ("phone_number_id", ": set it or `phone_number`"),
    ],
)
def test_required_fields_of_a_create(field: str, alternative: str, absent: str | None) -> None:
    assert create_errors(**{field: absent}) == (f"{field}: is required{alternative}",)


@pytest.mark.parametrize(
    ("by_name", "by_id"),
    [({"template_name": "promo"}, "template_id"), ({"phone_number": "0770 123 4567"}, "phone_number_id")],
)
def test_an_id_and_a_name_for_it_exclude_each_other(by_name: dict[str, str], by_id: str) -> None:
    (name,) = by_name
    for errors in (create_errors(**by_name), update_errors(**by_name, **{by_id: CAMPAIGN_ID})):
        assert errors == (f"{by_id}: cannot be combined with `{name}`; set only one of them",)
    CreateCampaign.parse(**(CREATE | {by_id: None} | by_name))
    UpdateCampaign.parse(campaign_id=CAMPAIGN_ID, **by_name)


def test_a_language_belongs_to_a_templates_name() -> None:
    error = "template_language: is set without `template_name`; set both, or remove it"
    assert create_errors(template_language="ar") == (error,)


def test_a_choice_is_one_of_its_values() -> None:
    assert create_errors(schedule_type="Now") == ("schedule_type: must be 'now' or 'schedule'; found 'Now'",)
    assert update_errors(category="SPAM") == ("category: must be 'MARKETING' or 'UTILITY'; found 'SPAM'",)


@pytest.mark.parametrize("number", ["0770", 77012345678])
def test_an_invalid_phone_number_is_not_shown(number: object) -> None:
    (error,) = create_errors(phone_number_id=None, phone_number=number)
    assert error.startswith("phone_number: ")
    assert str(number) not in error


@pytest.mark.parametrize(
    ("name", "found"),
    [("ab", 2), ("x" * 81, 81), (12, 2), ("Sum\ud800mer", "half of a surrogate pair, which is not a character")],
)
def test_a_name_has_3_to_80_characters(name: object, found: object) -> None:
    for errors in (create_errors(name=name), update_errors(name=name)):
        assert errors == (f"name: must be 3 to 80 characters long; found {found}",)


@pytest.mark.parametrize("name", ["x" * 80, "عرض", "  none  ", 'quo"te\n', 20261201])
def test_every_name_of_3_to_80_characters_is_sent_as_it_is(name: object) -> None:
    assert CreateCampaign.parse(**(CREATE | {"name": name})).body()["name"] == str(name)


LEDGER_HINT = "a path, such as a broadcast's ledger; its first campaign is create.output['first_campaign_id']"


@pytest.mark.parametrize(
    ("bad_id", "found"),
    [
        ("6" * 23, "found 23 characters"),
        (CAMPAIGN_ID + "\n", "found 25 characters, among them '\\n'"),
        ("../../sms", "found 9 characters, among them '.', '/', 'm'"),
        ("s3://aws_default@otpiq/run/ledger", f"found {LEDGER_HINT}"),
        ("٦" * 24, "found 24 characters, among them '٦'"),
        (-1, "found 2 characters, among them '-'"),
    ],
)
def test_an_id_has_24_hexadecimal_characters(bad_id: object, found: str) -> None:
    rule = f"must be 24 hexadecimal characters (0-9, a-f); {found}"
    assert create_errors(template_id=bad_id) == (f"template_id: {rule}",)
    assert create_errors(phone_number_id=bad_id) == (f"phone_number_id: {rule}",)
    assert update_errors(campaign_id=bad_id, name="Winter") == (f"campaign_id: {rule}",)
    template_id = 123456789012345678901234  # as native rendering makes of one
    assert CreateCampaign.parse(**CREATE | {"template_id": template_id}).body()["templateId"] == str(template_id)


@pytest.mark.parametrize("value", [1e5, True, ["a"]])
@pytest.mark.parametrize("field", ["name", "template_id"])
def test_a_value_that_native_rendering_changed_is_refused_with_the_cause(field: str, value: object) -> None:
    (error,) = create_errors(**{field: value})
    assert f"found a {type(value).__name__}" in error
    assert "render_template_as_native_obj" in error


@pytest.mark.parametrize("absent", NOT_SET)
def test_a_create_needs_time_and_type_together(absent: str | None) -> None:
    (error,) = create_errors(schedule_type="schedule", scheduled_for=absent)
    assert error.startswith("scheduled_for: is required if `schedule_type` is 'schedule'")
    (error,) = create_errors(schedule_type=absent, scheduled_for=tomorrow())
    assert error.startswith("scheduled_for: is set, so `schedule_type` must be 'schedule'")
    (error,) = create_errors(schedule_type="now", scheduled_for=tomorrow())
    assert error.startswith("scheduled_for: is set, so `schedule_type` must be 'schedule'")


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"scheduled_for": tomorrow().in_timezone("Asia/Baghdad")}, {"scheduledFor": tomorrow().to_iso8601_string()}),
        ({"schedule_type": "schedule"}, {"scheduleType": "schedule"}),
        ({"schedule_type": "now"}, {"scheduleType": "now", "scheduledFor": None}),  # a draft without a time
    ],
)
def test_an_update_may_send_time_or_type_alone(fields: dict[str, Any], body: dict[str, Any]) -> None:
    assert UpdateCampaign.parse(campaign_id=CAMPAIGN_ID, **fields).body() == body


def test_now_contradicts_a_time() -> None:
    (error,) = update_errors(schedule_type="now", scheduled_for=tomorrow())
    assert error.startswith("scheduled_for: contradicts `schedule_type` 'now'")


@pytest.mark.parametrize("absent", NOT_SET)
def test_an_update_changes_something(absent: str | None) -> None:
    assert update_errors() == ("nothing changes: set at least one field besides `campaign_id`",)
    assert update_errors(name=absent, category=absent) == update_errors()


@pytest.mark.parametrize(
    "start",
    [
        pendulum.now().subtract(seconds=1),
        "2020-01-01 03:00:00+03:00",
    ],
)
def test_a_time_in_the_past_is_refused_and_says_by_how_much(start: object) -> None:
    (error,) = create_errors(schedule_type="schedule", scheduled_for=start)
    assert error.startswith("scheduled_for: must be in the future; found 20")
    assert error.endswith(" ago")


def test_all_validation_errors_come_in_one_error() -> None:
    errors = create_errors(name="a", template_id=None, phone_number_id="x", scheduled_for=tomorrow())
    fields = [error.partition(":")[0] for error in errors]
    assert fields == ["template_id", "phone_number_id", "name", "scheduled_for"]
    errors = update_errors(campaign_id="None")
    assert [error.partition(":")[0] for error in errors] == ["campaign_id", "nothing changes"]


@pytest.mark.parametrize("secret", ["sk_live_abcdefgh", "+964 771 234 5678", "9647712345678", "٠٧٧٠١٢٣٤٥٦٧"])
@pytest.mark.parametrize("field", ["name", "template_id", "phone_number_id", "schedule_type", "scheduled_for"])
def test_a_key_or_a_phone_number_in_the_wrong_field_is_not_shown(field: str, secret: str) -> None:
    fields = CREATE | {"name": "ab", "schedule_type": "schedule", field: secret}
    with pytest.raises(OtpiqValidationError) as caught:
        CreateCampaign.parse(**fields)
    shown = [str(caught.value), repr(caught.value), str(caught.value.__context__), str(caught.value.__cause__)]
    assert not any(secret in text or secret[-6:] in text for text in shown)


def test_an_unknown_field_is_refused() -> None:
    assert create_errors(recipients=[]) == ("recipients: is not a field of this request",)
    assert create_errors(schedule_at=None, on_invald="") == (
        "schedule_at: is not a field of this request",
        "on_invald: is not a field of this request",
    )
