"""The ledger of a broadcast, which the features about audiences and broadcasts share."""
