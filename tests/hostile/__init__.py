"""Strangers at the gRPC door, and what they cost: `make hostile`."""
