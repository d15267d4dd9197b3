"""The hook: an Airflow connection to OTPIQ, and one method for each of its endpoints."""
