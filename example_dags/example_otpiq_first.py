"""Create a campaign with recipients from a CSV file. It is a draft, so nobody gets a message."""

from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, CreateCampaignOperator

with DAG("example_otpiq_first", schedule=None) as dag:
    create = CreateCampaignOperator(
        task_id="create",
        name="First offer",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
    )
    AttachRecipientsOperator(
        task_id="attach",
        campaign_id=create.output,
        recipients=f"{Path(__file__).parent}/team.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
    )
