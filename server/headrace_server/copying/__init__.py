"""The commit: groups of batches to COPY bytes, one transaction with the ledger, and the ladder when it fails."""
