"""An Airflow connection of type ``otpiq``."""
