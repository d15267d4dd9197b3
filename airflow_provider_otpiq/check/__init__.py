"""The command ``otpiq-check``: does the real OTPIQ behave as this provider assumes? It sends no messages."""
