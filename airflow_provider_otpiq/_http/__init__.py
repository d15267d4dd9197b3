"""One HTTP request out and its response back. Knows nothing of Airflow."""
