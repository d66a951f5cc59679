"""What could not be stored, and why: rejected rows, kept in the transaction that stored their neighbours."""
