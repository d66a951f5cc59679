"""A replica's write path over a migrated database."""

from support.replica_fixtures import connection, opened, registry, service

__all__ = ["connection", "opened", "registry", "service"]
