"""Vectorised checks: decoded columns against what rows of this kind may have, giving good columns and row verdicts."""
