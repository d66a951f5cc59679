"""An ack means durable: when it arrives, PostgreSQL has flushed everything that the batch's transaction has written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import asyncpg

from support.service import running_service
from support.wire_client import WireStream, events, json_batch, wire_client

ACKS = int(os.environ.get("HEADRACE_TEST_ACKS", "200"))
ACKS_WITHOUT_FLUSH = 20

# At the end of each transaction that advances a producer: where the WAL is after its last write.
TELL_POSITION = """
CREATE FUNCTION tell_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('written', NEW.last_seq || ' ' || (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER tell_position AFTER UPDATE OF last_seq ON headrace.producers
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell_position();
"""
WITHOUT_FLUSH = """
CREATE FUNCTION without_flush() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN NEW;
END $$;
CREATE TRIGGER without_flush BEFORE UPDATE ON headrace.producers FOR EACH ROW EXECUTE FUNCTION without_flush();
"""
FLUSHED = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"


async def acks_ahead_of_the_flush(database_url: str, acks: int, *statements: str) -> int:
    """Send batches one by one; returns how many were acked before what they had written was flushed."""
    written: dict[int, int] = {}
    told = asyncio.Event()

    def on_written(_: object, __: int, ___: str, payload: object) -> None:
        seq, position = map(int, str(payload).split())
        written[seq] = position
        if seq == acks:
            told.set()

    async with running_service(database_url) as service, wire_client(service.grpc) as client:
        await client.register()
        listener, looker = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
        await listener.add_listener("written", on_written)
        for statement in (TELL_POSITION, *statements):
            await looker.execute(statement)
        flushed = await _flushed_at_acks(client.stream(timeout_s=100.0), looker, acks)
        async with asyncio.timeout(10):
            await told.wait()
        await listener.close()
        await looker.close()
    assert set(written) == set(flushed) == set(range(1, acks + 1))
    return sum(flushed[seq] < position for seq, position in written.items())


async def _flushed_at_acks(stream: WireStream, looker: asyncpg.Connection, acks: int) -> Mapping[int, int]:
    await stream.open()
    flushed = {}
    for seq in range(1, acks + 1):
        assert await stream.settle(json_batch(events(1, first=seq), seq=seq)) is None
        flushed[seq] = await looker.fetchval(FLUSHED)
    return flushed


async def test_what_is_acked_is_flushed(database_url: str) -> None:
    assert await acks_ahead_of_the_flush(database_url, ACKS) == 0


async def test_the_test_above_would_notice(database_url: str) -> None:
    assert await acks_ahead_of_the_flush(database_url, ACKS_WITHOUT_FLUSH, WITHOUT_FLUSH) > 0
