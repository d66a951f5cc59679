"""What one log call costs the caller: headrace's `log()` and what a team would call in its place."""
