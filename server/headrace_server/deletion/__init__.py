"""Deleting events, by id or of a time, with all that belongs to them, as jobs."""
