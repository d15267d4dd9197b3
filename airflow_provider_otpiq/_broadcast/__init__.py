"""Create, start and stop a broadcast, campaign by campaign. Each try continues from the ledger."""
