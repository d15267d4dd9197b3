"""A broadcast whose tasks link to OTPIQ's dashboard, and its report."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator

with DAG("reported", schedule=None, params={"folder": ""}, default_args={"otpiq_conn_id": "otpiq_dashboard"}):
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=lambda: [{"phone": f"96477000000{number}", "name": "Zaynab"} for number in range(10, 13)],
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        output="{{ params.folder }}",
    )
    create = CreateBroadcastOperator(
        task_id="create",
        audience=prepare.output,
        name="Reported",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
    )
    start = StartBroadcastOperator(task_id="start", broadcast=create.output)
    DeliveryReportOperator(
        task_id="report",
        broadcast=start.output,
        start="{{ dag_run.run_after }}",
        end="{{ dag_run.run_after + macros.timedelta(hours=2) }}",
        destination="{{ params.folder }}/report.parquet",
    )
