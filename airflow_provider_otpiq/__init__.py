"""Apache Airflow provider for OTPIQ: WhatsApp campaigns from a DAG."""

__version__ = "1.0.0rc1"
