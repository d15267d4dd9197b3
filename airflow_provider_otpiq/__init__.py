"""Apache Airflow provider for OTPIQ: WhatsApp campaigns from a DAG."""

__version__ = "0.9.0"
