"""Where every row of a producer is: what its client reports, against what the ledger has counted."""
