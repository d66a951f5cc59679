"""The one version of the contract, the client and the service."""

__version__ = "0.1.0"
