"""One module per outside system: the only code that talks to it. Knows no job, no ledger, no queue."""
