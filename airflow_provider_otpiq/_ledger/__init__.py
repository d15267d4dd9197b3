"""The ledger of a broadcast, for the tasks of audiences, broadcasts and reports."""
