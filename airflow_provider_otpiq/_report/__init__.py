"""Delivery reports: requested, downloaded, joined with the recipients, and counted."""
