"""What waits for a commit: batches by producer, groups of batches, and the verdicts they are answered with."""
