"""A broadcast at work: campaign by campaign from the ledger, so that any try carries on where the last one ended."""
