from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqRateLimitError,
    OtpiqServerError,
)
from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator
from tests.conftest import AIRFLOW_VERSION
from tests.fakes import CREATE

if AIRFLOW_VERSION.release < (3, 3):
    pytest.skip("Airflow 3.3 brought retry policies", allow_module_level=True)

from airflow.sdk import DAG, RetryDecision

from airflow_provider_otpiq.retry_policy import OtpiqRetryPolicy

POLICY = OtpiqRetryPolicy()


def decide(error: BaseException) -> RetryDecision:
    return POLICY.evaluate(error, try_number=1, max_tries=3)


@pytest.mark.parametrize(
    ("seconds", "delay"),
    [
        (480, timedelta(minutes=8)),
        (0.5, timedelta(seconds=0.5)),
        (86_400, timedelta(hours=1)),
        (1e300, timedelta(hours=1)),
    ],
)
@pytest.mark.parametrize("kind", [OtpiqRateLimitError, OtpiqServerError])
def test_the_delay_is_what_otpiq_asks_for_but_at_most_an_hour(
    kind: type[OtpiqRateLimitError], seconds: float, delay: timedelta
) -> None:
    decision = decide(kind("wait", retry_after=seconds))
    assert (decision.action.value, decision.retry_delay) == ("retry", delay)


def test_missing_credit_fails_immediately() -> None:
    assert decide(OtpiqCreditError("no credit")).action.value == "fail"


@pytest.mark.parametrize(
    "error", [OtpiqConnectionError("reset"), OtpiqServerError("503"), OtpiqRateLimitError("429"), ValueError("other")]
)
def test_any_other_error_has_airflows_default(error: BaseException) -> None:
    assert decide(error) == RetryDecision.default()


class Other(OtpiqRetryPolicy):
    pass


@pytest.mark.parametrize("is_mapped", [False, True])
def test_default_args_and_an_argument_replace_it(is_mapped: bool) -> None:
    def policy(default_args: dict[str, object] | None = None, **arguments: Any) -> object:
        with DAG("d", schedule=None, default_args=default_args or {}):
            if not is_mapped:
                return CreateCampaignOperator(task_id="c", **CREATE, **arguments).retry_policy
            fields = {name: value for name, value in CREATE.items() if name != "name"}
            mapped = CreateCampaignOperator.partial(task_id="c", **fields, **arguments).expand(name=["one", "two"])
        assert mapped.unmap({"name": "one"}).retry_policy is mapped.retry_policy
        return mapped.retry_policy

    own, other = Other(), Other()
    assert type(policy()) is OtpiqRetryPolicy
    assert policy(default_args={"retry_policy": own}) is own
    assert policy(default_args={"retry_policy": own}, retry_policy=other) is other
    assert policy(default_args={"retry_policy": own}, retry_policy=None) is None
    assert policy(retry_policy=None) is None
