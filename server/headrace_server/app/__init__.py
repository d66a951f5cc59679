"""The composition root: the only room that sees every other."""

from headrace_server.app.serving import ServingAddresses, serve

__all__ = ["ServingAddresses", "serve"]
