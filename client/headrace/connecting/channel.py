"""Where the service is, and how a connection to it is made.

`Link` knows the addresses and the credentials. Each session has a route of its own through the addresses, which gives
it a channel, and one to the next address when its server drains or stays silent. Channels are made lazily, in the
process that uses them: one made before a fork is never used after it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from headrace import lifetime
from headrace.connecting.secret_files import SecretFile, Source
from headrace.errors import InvalidArgumentError

# grpc imports this with the first channel. If another thread forked at that moment, the child would inherit half a
# module for ever; importing it with headrace leaves no such moment.
importlib.import_module("grpc._channel")

DEFAULT_PORT = 50051

_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.keepalive_time_ms", 30_000),  # finds a peer that is gone without a word; servers allow one every 10 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # an idle stream is still a stream
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),  # acks are 256 KiB at most, pages of models larger
    ("grpc.max_send_message_length", -1),  # the batch limit is the service's to tell
    ("grpc.enable_retries", 0),  # the session resends by itself, and gRPC's retry buffer copies every message
    ("grpc.use_local_subchannel_pool", 1),  # a new channel is a new connection: it must leave a draining server
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # gRPC's name for the least time a connection attempt is given
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to speak TLS.

    Each PEM is given as bytes, or as the path of a file, which is read again at every reconnect: renewed certificates
    are taken up without a restart.

    Attributes:
        roots: PEM certificates to trust. Default: gRPC's own list.
        certificate: PEM certificate chain of this client, for mutual TLS.
        key: PEM private key of `certificate`.
        server_name: Name expected in the server's certificate, where it differs from the address.
    """

    roots: Source | None = None
    certificate: Source | None = None
    key: Source | None = None
    server_name: str | None = None


class _Credentials:
    """What a Tls stands for at this moment."""

    def __init__(self, tls: Tls) -> None:
        if (tls.certificate is None) != (tls.key is None):
            raise InvalidArgumentError("tls: certificate and key belong together, one of them is missing")
        self.server_name = tls.server_name
        given = {"roots": tls.roots, "certificate": tls.certificate, "key": tls.key}
        self._pems = {
            name: pem if pem is None or isinstance(pem, bytes) else SecretFile(pem, f"tls.{name}")
            for name, pem in given.items()
        }

    def read(self) -> grpc.ChannelCredentials:
        pems = {name: pem.read() if isinstance(pem, SecretFile) else pem for name, pem in self._pems.items()}
        return grpc.ssl_channel_credentials(pems["roots"], pems["key"], pems["certificate"])


def parse_addresses(text: str) -> list[str]:
    """Return the addresses in "host:port,host:port"; the port is 50051 where it is missing.

    Raises:
        InvalidArgumentError: There is none, or a port is no port.
    """
    addresses = []
    for part in (piece.strip() for piece in text.split(",")):
        if not part:
            continue
        if part.startswith("unix:"):
            addresses.append(part)
            continue
        host, colon, port = part.rpartition(":")
        if not colon or part.endswith("]"):  # "[::1]" has colons, but no port
            host, port = part, str(DEFAULT_PORT)
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise InvalidArgumentError(f"address {part!r}: expected host:port")
        addresses.append(f"{host}:{port}")
    if not addresses:
        raise InvalidArgumentError(f"address {text!r}: expected host:port, or several with commas between")
    return addresses


def is_loopback(address: str) -> bool:
    """Return whether `address` cannot leave this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    import ipaddress  # noqa: PLC0415 -- asked for only where a key or a key file goes with the address

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_anchors: list[grpc.Channel] = []
"""A channel that is never used and never closed. Without it the close of the last channel shuts gRPC's core down on a
thread of its own, and a fork at that moment leaves parent or child with locks that nobody releases."""

_inherited: list[object] = []


def leave_to_parent(owner: object) -> None:
    """Keep what a forked child has inherited from being closed there: its threads and sockets are the parent's."""
    _inherited.append(owner)


class Route:
    """The addresses in turn, for one who connects again and again: never twice in a row the one that failed.

    Sessions have one each. With one for all, two that lose their server at the same time could pass each other the same
    silent address for ever.
    """

    def __init__(self, link: Link, addresses: Sequence[str]) -> None:
        self._link = link
        self._turns = itertools.cycle(addresses)

    def connect(self) -> grpc.Channel:
        """Return a new channel to the next address."""
        return self._link.connect(next(self._turns))


class Link:
    """Addresses and credentials of the service.

    Args:
        addresses: "host:port", or several with commas between.
        api_key: Sent with every call; as the path of a file it is read anew for each.
        tls: True for TLS with default roots, a Tls, or False for plaintext. None: plaintext on loopback, else TLS.
    """

    def __init__(
        self, addresses: str, *, api_key: str | os.PathLike[str] | None = None, tls: Tls | bool | None = None
    ) -> None:
        self._addresses = parse_addresses(addresses)
        if tls is None:
            tls = not all(map(is_loopback, self._addresses))
        self._tls = _Credentials(Tls() if tls is True else tls) if tls else None
        self._api_key = SecretFile(api_key, "api_key") if isinstance(api_key, os.PathLike) else api_key
        first = random.randrange(len(self._addresses))  # noqa: S311 -- spreads a fleet over the addresses
        self._starts = itertools.count(first)

    def __repr__(self) -> str:
        return f"Link({','.join(self._addresses)}, {'tls' if self._tls else 'plaintext'})"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent with every call: the key."""
        if not self._api_key:
            return ()
        key = self._api_key if isinstance(self._api_key, str) else self._api_key.read().decode(errors="replace").strip()
        return (("authorization", f"Bearer {key}"),)

    @property
    def renews_key(self) -> bool:
        """Whether another key may be there for the next call."""
        return isinstance(self._api_key, SecretFile)

    def route(self) -> Route:
        """Return a way through the addresses, which begins at another one than the last route did."""
        start = next(self._starts) % len(self._addresses)
        return Route(self, self._addresses[start:] + self._addresses[:start])

    def connect(self, address: str) -> grpc.Channel:
        """Return a new channel to an address; it connects when it is first used."""
        channel = self._channel(address)
        if not _anchors:
            _anchors.append(self._channel(address))
        lifetime.guard_forks()
        return channel

    def _channel(self, address: str) -> grpc.Channel:
        if self._tls is None:
            return grpc.insecure_channel(address, _OPTIONS)
        options = list[tuple[str, int | str]](_OPTIONS)
        if self._tls.server_name:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
        return grpc.secure_channel(address, self._tls.read(), options)
