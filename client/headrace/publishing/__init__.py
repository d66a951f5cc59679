"""publish() and its kin: a source → batches → verdicts, on the caller's thread."""
