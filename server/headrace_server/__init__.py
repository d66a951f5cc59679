"""The headrace service: from a gRPC stream to a committed row, one room a step."""
