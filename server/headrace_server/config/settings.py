"""Every setting of the service: its unit, its default and the reason for it.

A frozen tree of groups; rooms are handed the group they need, never the whole. Made by `load()` from file, environment
and flags, or by hand in tests (`Settings()` is the defaults and reads nothing). Whoever holds one holds a valid one:
limits of a field and rules across fields are checked when it is made. The text below each field is its documentation,
in docs/settings.md too.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from headrace_server.config.contradictions import Contradiction

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# Decoded, encoded and wire bytes of a batch in its dearest form (map rows), as a multiple of its wire bytes.
DEAREST_FORM = 12

Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def _default_copiers() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if cores < 4 else 2


def _default_memory(intake: dict[str, Any]) -> ByteSize:
    return ByteSize(64 * MIB * intake.get("workers", 1))


class Group(BaseModel):
    """Settings that one room needs."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


class Listen(Group):
    """Where the service listens."""

    grpc_host: str = Field(default="127.0.0.1", min_length=1)
    """Address of the gRPC door. Any but loopback needs TLS and keys."""
    grpc_port: Port = 50_051
    """TCP port of the gRPC door, gRPC's customary one; 0 takes a free one."""
    http_host: str = Field(default="127.0.0.1", min_length=1)
    """Address of the HTTP door."""
    http_port: Port = 8_080
    """TCP port of the HTTP door: JSON, metrics, health; 0 takes a free one."""
    insecure: bool = False
    """Listen beyond loopback although TLS or keys are missing: for networks that keep strangers out by themselves."""
    reflection: bool = True
    """Tell gRPC tools (grpcurl) which services there are. Nothing secret: the contract is public."""


class Tls(Group):
    """TLS on both doors. The files are read again while the service runs: renewing them needs no restart."""

    certificate: Path | None = None
    """PEM file of the service's certificate and its chain. Default: none, the doors speak plaintext."""
    key: Path | None = None
    """PEM file of the certificate's private key, without a passphrase."""
    client_ca: Path | None = None
    """PEM file of authorities. With it only clients that show a certificate signed by one of them are let in, at both
    doors; keys are asked for all the same."""


class Access(Group):
    """Who may come in."""

    require_keys: bool = False
    """Let in only calls with an API key, each into its key's project. Off: whoever reaches the ports may do everything.
    Make the first key with `headrace keys create`."""


class Database(Group):
    """Where the rows go: a server that is there, or the embedded one."""

    url: SecretStr | None = None
    """PostgreSQL with TimescaleDB to write to, `postgresql://user:password@host:port/name`. Default: the embedded
    database."""
    data_dir: Path | None = None
    """Folder of the embedded database's data. Default: `/var/lib/headrace/data` as root, else
    `~/.local/share/headrace/data`."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Loopback port of the embedded database. Default: a free one, chosen once and remembered."""
    runtime_dir: Path | None = None
    """Folder of the private PostgreSQL that is made where none is installed, about 130 MB. Default: `runtime` beside
    the default data folder."""
    ballast_bytes: ByteSize = ByteSize(256 * MIB)
    """File the embedded database gives up to recover from a full disk; 0 for none."""
    connect_timeout_s: Seconds = 10.0
    """Longest wait for one connection, in seconds."""
    command_timeout_s: Seconds = 60.0
    """Longest wait for one statement, in seconds. Generous: a checkpoint on a slow disk holds commits up."""
    allow_fsync_off: bool = False
    """Serve a database that runs with fsync=off, though its acks then survive no power cut."""

    @field_validator("url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL like postgresql://user:password@host:port/name")
        return url

    @property
    def place(self) -> str:
        """The URL without its secrets, for logs and people; "embedded" when there is none."""
        if self.url is None:
            return "embedded"
        scheme, _, rest = self.url.get_secret_value().partition("://")
        before_query, _, query = rest.partition("?")
        # Passwords may hold any of ? / @ unescaped; where it is not plain what the place is, nothing of it is shown.
        place = "***" if "@" in query else before_query.rpartition("@")[2]
        return f"{scheme}://{place}"


class Intake(Group):
    """What is taken in, and how much of it at a time."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that serve, at the same two ports. One is the service by itself; more are for machines with cores that
    one process leaves idle (Linux). What bounds the service is shared out among them, at least the least to each."""
    memory_budget_bytes: Annotated[ByteSize, Field(ge=MIB)] = Field(
        default_factory=_default_memory, json_schema_extra={"shown": "`64 MiB` for each worker"}
    )
    """Memory for all batches between the socket and their commit. What does not fit is not read: producers wait."""
    max_batch_bytes: Annotated[ByteSize, Field(ge=KIB, le=64 * MIB)] = ByteSize(4 * MIB)
    """Largest batch, serialized; gRPC's customary limit. At least 1 KiB, at most 64 MiB."""
    max_batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Most rows in a batch. More gain nothing: commits are grouped over batches."""
    open_timeout_s: Seconds = 10.0
    """Longest wait for a stream's Open, in seconds."""
    idle_timeout_s: Seconds = 600.0
    """Seconds without a message, nothing in flight, until a stream is ended; clients open another when they need it."""
    acks_timeout_s: Seconds = 30.0
    """Seconds a client may leave its acks unread until its stream is ended."""
    heartbeat_s: Annotated[Seconds, Field(ge=0.1, le=60)] = 4.0
    """How often a stream is told something at least, in seconds. A client that hears nothing for two and a half times
    as long takes the service for frozen and goes elsewhere."""
    max_concurrent_streams: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most streams and calls on one connection; clients open further connections beyond."""
    max_metadata_bytes: Annotated[ByteSize, Field(ge=KIB, le=MIB)] = ByteSize(16 * KIB)
    """Most bytes of metadata (headers) with a call."""


class Batching(Group):
    """How batches of many producers become one commit: nobody lingers, groups grow while the database is busy."""

    group_max_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Most rows in a commit: bounds how long an ack waits for its neighbours."""
    group_max_bytes: Annotated[ByteSize, Field(ge=KIB)] = ByteSize(32 * MIB)
    """Most bytes (as received) in a commit."""
    copiers: Annotated[int, Field(ge=1, le=32)] = Field(
        default_factory=_default_copiers, json_schema_extra={"shown": "1; 2 from 4 cores on"}
    )
    """Copiers: each commits groups of its own producers over two connections. One keeps two cores busy. Every worker
    has at least one."""


class Models(Group):
    """How models come to be."""

    infer: bool = False
    """Register a model that nobody registered from its first batch. Off: a misspelt name is an error, not a table."""


class Queries(Group):
    """Reading back, kept apart from ingest."""

    max_concurrent: Annotated[int, Field(ge=1, le=64)] = 4
    """Reads at a time, each with a database connection of its own; further ones are told to come back (READERS_BUSY).
    Opened when wanted, closed after 5 idle minutes."""
    statement_timeout_s: Seconds = 30.0
    """Longest wait for the next part of a read, in seconds; then it is QUERY_TOO_SLOW."""
    not_read_timeout_s: Seconds = 30.0
    """Seconds a client may leave its results unread until the read is ended: it holds a connection, and vacuum waits
    for its snapshot."""


class DeadLetters(Group):
    """Rows that could not be stored, and how long they are kept."""

    project_bytes: Annotated[ByteSize, Field(ge=KIB)] = ByteSize(GIB)
    """What the letters of one project may hold. Beyond it batches with bad rows are refused (QUOTA_EXCEEDED): none is
    dropped silently."""
    kept_days: Annotated[float, Field(gt=0, le=3_650, allow_inf_nan=False)] = 30.0
    """Days after which a letter is removed, replayed or not. A month: as long as a producer's batches are known."""


class Suggest(Group):
    """What clients are told makes good use of the service."""

    batch_rows: Annotated[int, Field(ge=1)] = 10_000
    """Rows a client should gather in a batch."""
    linger_ms: Annotated[int, Field(ge=0, le=60_000)] = 20
    """How long a client should wait for a batch to fill, in milliseconds."""


class Http(Group):
    """Bounds of the HTTP door."""

    max_posts: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Posts read and answered at a time, each holding a body of up to max_batch_bytes; further ones are told to come
    back (429)."""
    max_connections: Annotated[int, Field(ge=8, le=100_000)] = 256
    """Most connections; further ones are told to come back (503)."""
    body_timeout_s: Seconds = 30.0
    """Longest wait for a request's body, in seconds."""
    answer_timeout_s: Seconds = 60.0
    """Longest wait for a post's rows to be settled, in seconds; then it is told to send the same again (503)."""


class Kafka(Group):
    """A topic that is read beside the other doors, each message once. Needs the extra `headrace[kafka]`."""

    brokers: str = ""
    """Bootstrap servers, `host:port,host:port`. Default: no topic is read."""
    topic: str = ""
    """Topic to read; required with brokers."""
    group: str = ""
    """Consumer group; with the cluster, the topic and the partition it is the ledger's producer. Default:
    `headrace-<project>-<topic>`, and `-<model>` behind it where a model is named."""
    project: str = Field(default="main", min_length=1)
    """Project that is written to."""
    form: Literal["json", "batch"] = "json"
    """What a message is: a JSON object or an array of objects, or a serialized `headrace.v1.Batch`."""
    model: str = ""
    """Model of JSON rows, and of batches that name none; required for JSON."""
    model_version: str = ""
    """Version of JSON rows, and of batches that name none."""
    kind: Literal["events", "labels"] = "events"
    """What JSON rows are."""
    start: Literal["beginning", "end"] = "beginning"
    """Where a group begins that the ledger does not know."""
    in_flight_bytes: Annotated[ByteSize, Field(ge=KIB)] = ByteSize(16 * MIB)
    """Bytes of batches that may wait for their commit; beyond, the partitions are paused."""
    properties_file: Path | None = None
    """File of further librdkafka properties, `name=value` a line: TLS, SASL, fetch sizes."""

    @property
    def reading_group(self) -> str:
        """The consumer group in force."""
        parts = ("headrace", self.project, self.topic, self.model)
        return self.group or "-".join(part for part in parts if part)


class Drain(Group):
    """How the service stops."""

    grace_s: Seconds = 10.0
    """Seconds from SIGTERM to the end: clients move over and groups settle meanwhile. A second signal ends it at
    once."""


class Log(Group):
    """What the service says, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["auto", "console", "json"] = "auto"
    """`console` for people, `json` for machines (one object a line), `auto`: console on a terminal, else json."""


class Settings(BaseSettings):
    """All settings of the service."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    listen: Listen = Listen()
    tls: Tls = Tls()
    access: Access = Access()
    database: Database = Database()
    intake: Intake = Intake()
    batching: Batching = Field(default_factory=Batching)
    models: Models = Models()
    queries: Queries = Queries()

    dead_letters: DeadLetters = DeadLetters()
    suggest: Suggest = Suggest()
    http: Http = Http()
    kafka: Kafka = Kafka()
    drain: Drain = Drain()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone: only `load()` looks at the world, so a test's settings do not depend on its environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        found = [*self._exposed(), *self._too_small(), *self._at_odds()]
        if found:
            # All of them at once: each start that fails on the next fault is one deployment lost.
            text = "; ".join(f"{each.key}: {each.rule}" for each in found)
            raise PydanticCustomError("contradictions", "{text}", {"text": text, "found": found})
        return self

    def _exposed(self) -> list[Contradiction]:
        missing = [] if self.tls.certificate else ["TLS (tls.certificate, tls.key)"]
        missing += [] if self.access.require_keys else ["keys (access.require_keys)"]
        rule = (
            f"is reachable from beyond this machine, which takes {' and '.join(missing)}: set that, use a loopback"
            " address (127.0.0.1), or say --insecure (HEADRACE_INSECURE=true) if the network itself keeps strangers out"
        )
        hosts = {"listen.grpc_host": self.listen.grpc_host, "listen.http_host": self.listen.http_host}
        return [
            Contradiction(key, host, rule)
            for key, host in hosts.items()
            if missing and not self.listen.insecure and not _is_loopback(host)
        ]

    def _too_small(self) -> list[Contradiction]:
        intake, batching, found = self.intake, self.batching, []
        if intake.memory_budget_bytes < DEAREST_FORM * intake.max_batch_bytes * intake.workers:
            least = f"{DEAREST_FORM} × intake.max_batch_bytes" + (" × intake.workers" if intake.workers > 1 else "")
            rule = f"must be at least {least}, what one batch of map rows can take"
            found.append(Contradiction("intake.memory_budget_bytes", intake.memory_budget_bytes, rule))
        if batching.group_max_bytes < intake.max_batch_bytes:
            rule = "must be at least intake.max_batch_bytes, or the largest batch fits no group"
            found.append(Contradiction("batching.group_max_bytes", batching.group_max_bytes, rule))
        if batching.group_max_rows < intake.max_batch_rows:
            rule = "must be at least intake.max_batch_rows, or the largest batch fits no group"
            found.append(Contradiction("batching.group_max_rows", batching.group_max_rows, rule))
        if self.suggest.batch_rows > intake.max_batch_rows:
            rule = "must be at most intake.max_batch_rows"
            found.append(Contradiction("suggest.batch_rows", self.suggest.batch_rows, rule))
        return found

    def _at_odds(self) -> list[Contradiction]:
        listen, database, found = self.listen, self.database, []
        if listen.http_port != 0 and listen.http_port == listen.grpc_port:
            found.append(Contradiction("listen.http_port", listen.http_port, "must differ from listen.grpc_port"))
        tls = self.tls
        if tls.certificate or tls.key or tls.client_ca:
            missing = {"certificate": tls.certificate, "key": tls.key}
            rule = "is missing: TLS needs tls.certificate and tls.key"
            found += [Contradiction(f"tls.{name}", None, rule) for name, it in missing.items() if it is None]
        embedded = {"data_dir": database.data_dir, "port": database.port, "runtime_dir": database.runtime_dir}
        if database.url is not None:
            rule = "belongs to the embedded database, but database.url names another server: leave one of them out"
            found += [Contradiction(f"database.{name}", it, rule) for name, it in embedded.items() if it is not None]
        kafka = self.kafka
        if kafka.brokers and not kafka.topic:
            found.append(Contradiction("kafka.topic", kafka.topic, "must be named with kafka.brokers"))
        if kafka.brokers and kafka.form == "json" and not kafka.model:
            found.append(Contradiction("kafka.model", kafka.model, "must be named: JSON rows do not say theirs"))
        return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        # A name: whatever it resolves to now, it may be another address tomorrow.
        return False
