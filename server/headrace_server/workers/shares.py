"""One worker's share of the service's settings: the bounds divided, the doors and the database as the parent has them.

What bounds a process (memory, posts, connections, reads, copiers, Kafka's bytes in flight) is divided, rounded down; to
each goes at least the least that works, so that the shares of very small bounds can add up to more than these. Rates
and streams of a project (access/quotas.py) are counted by each replica for itself, and a worker is one: divided, they
would refuse a producer whose one stream is entitled to all of it.
"""

from __future__ import annotations

from pydantic import SecretStr

from headrace_server.config import Settings

LEAST_CONNECTIONS = 8
LEAST_KAFKA_BYTES = 1024


def share_of(settings: Settings) -> Settings:
    """Return the settings of each worker, which are those of a service of one process.

    Args:
        settings: The service's.
    """
    workers = settings.intake.workers

    def part(whole: int, least: int = 1) -> int:
        return max(least, whole // workers)

    intake = {"workers": 1, "memory_budget_bytes": part(settings.intake.memory_budget_bytes)}
    http = {
        "max_posts": part(settings.http.max_posts),
        "max_connections": part(settings.http.max_connections, LEAST_CONNECTIONS),
    }
    in_flight = {"in_flight_bytes": part(settings.kafka.in_flight_bytes, LEAST_KAFKA_BYTES)}
    return Settings(
        **{
            **dict(settings),
            "intake": settings.intake.model_copy(update=intake),
            "batching": settings.batching.model_copy(update={"copiers": part(settings.batching.copiers)}),
            "queries": settings.queries.model_copy(update={"max_concurrent": part(settings.queries.max_concurrent)}),
            "http": settings.http.model_copy(update=http),
            "kafka": settings.kafka.model_copy(update=in_flight),
        }
    )


def at_place(share: Settings, *, database_url: str, grpc_port: int, http_port: int) -> Settings:
    """Return the share with the database and the ports that the parent has found.

    Args:
        share: A worker's share.
        database_url: The database that the parent keeps up.
        grpc_port: The port that the parent holds; never 0.
        http_port: The same, of the HTTP door.
    """
    database = {"url": SecretStr(database_url), "data_dir": None, "port": None, "runtime_dir": None}
    listen = {"grpc_port": grpc_port, "http_port": http_port}
    return Settings(
        **{
            **dict(share),
            "listen": share.listen.model_copy(update=listen),
            "database": share.database.model_copy(update=database),
        }
    )
