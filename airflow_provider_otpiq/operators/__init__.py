"""The operators: one task for each thing that can be done with a campaign."""
