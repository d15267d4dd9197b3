"""Create and start a broadcast, campaign by campaign from its ledger, so that a try continues where the last ended."""
