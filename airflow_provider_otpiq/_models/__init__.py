"""The API's contract: what is sent, and what comes back."""
