"""Rows → wire columns → batches of a size the service accepts."""
