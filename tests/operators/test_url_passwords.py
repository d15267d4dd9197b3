"""A password in the URL of a file, which is refused and not shown."""

from typing import Any

import pytest

from airflow_provider_otpiq._redaction import hide_password
from airflow_provider_otpiq._storage import find_store
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from tests.fakes import execute
from tests.operators.broadcasts import Run

URL = "sftp://loader:pa/ss@w#rd@files.example/people"
HIDDEN = "sftp://loader:•••@files.example/people"


def refused(context: dict[str, Any], kind: Any, **fields: Any) -> tuple[str, str]:
    """Run an operator that refuses a field, and return the error and the rendered fields."""
    from airflow.serialization.helpers import serialize_template_field

    operator = Run(kind, context, {"phone_number": "phone"}).make(**fields)
    with pytest.raises(OtpiqConfigurationError) as caught:
        execute(operator, context)
    shown = [serialize_template_field(getattr(operator, name), name) for name in operator.template_fields]
    return str(caught.value), str(shown)


@pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])
@pytest.mark.parametrize(("suffix", "fields"), [("csv", {}), ("json", {"phone_number": None})])
def test_recipients(
    context: dict[str, Any], sandbox_hook: object, kind: Any, suffix: str, fields: dict[str, Any]
) -> None:
    url = f"{URL}.{suffix}"
    error, shown = refused(context, kind, campaign_id="6650f2a1c9e77a0012345678", recipients=url, **fields)
    assert "files.example" in error
    assert f"the recipients in {HIDDEN}.{suffix}" in shown
    assert "w#rd" not in error + shown


@pytest.mark.parametrize("source", [f"{URL}.csv", [f"{URL}.csv"], "{{ params.url }}"])
def test_a_source(context: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Any, source: Any) -> None:
    context["params"] = {"url": f"{URL}.csv"}
    error, shown = refused(context, PrepareAudienceOperator, source=source, output=str(tmp_path))
    assert f"{HIDDEN}.csv: contains a password" in error
    assert "w#rd" not in error + shown + caplog.text


def test_a_suppression_list(context: dict[str, Any], tmp_path: Any) -> None:
    (tmp_path / "people.csv").write_text("phone\n9647701234567\n")
    fields = {"source": str(tmp_path / "people.csv"), "suppress": f"{URL}.csv", "output": str(tmp_path / "audience")}
    error, shown = refused(context, PrepareAudienceOperator, **fields)
    assert f"{HIDDEN}.csv: contains a password" in error
    assert "w#rd" not in error + shown


@pytest.mark.parametrize(
    "location", ["s3://conn_id@bucket/a:b@c.csv", "hdfs://name-node:8020/a@b.csv", "/data/a:b@c.csv", "file:///a:b@c"]
)
def test_no_password(location: str) -> None:
    assert hide_password(location) == location


def test_a_local_url_with_a_password_is_refused() -> None:
    with pytest.raises(OtpiqConfigurationError, match="contains a password"):
        find_store("file://user:secret@/people.csv")
