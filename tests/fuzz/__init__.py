"""Decoding and validation under inputs that nobody thought of: `make fuzz`."""
