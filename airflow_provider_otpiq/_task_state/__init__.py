"""State of a task instance that survives a failed try, a killed worker and a clear. Airflow 3.3 or later."""
