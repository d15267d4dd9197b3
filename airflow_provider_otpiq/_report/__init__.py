"""Delivery reports: made, downloaded, joined to their people, and counted."""
