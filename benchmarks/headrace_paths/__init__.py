"""The ways into headrace that are measured: the SDK's, and the bare wire's for other languages."""
