"""n8n's workflows as code: normal form, rules, differences, and its public API. Knows no job, no ledger, no queue."""
