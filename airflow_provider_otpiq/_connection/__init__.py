"""What an Airflow connection of type ``otpiq`` says."""
