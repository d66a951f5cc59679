"""Reads a topic into a model, for as long as the service runs.

The conversation with the group: partitions come and go between two polls. A poll that takes partitions away empties
`_partitions`, so that messages fetched before are left alone; one that brings some only notes them, and they are read
from once a session of each is open and the ledger has said from where. Brokers are told what is committed now and then,
for the tools that show a group's lag; nothing is ever read from there.

Backpressure: what the service has no room for waits here, at most one poll's messages, and while something waits all
partitions are paused. Polls go on, so that the group does not take this consumer for dead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import structlog

from headrace.v1 import batch_pb2
from headrace.version import __version__
from headrace_server.access.caller import Caller, called_by
from headrace_server.access.scope import EVERY_SCOPE
from headrace_server.batching.batch import Producer
from headrace_server.config import Kafka
from headrace_server.errors import FencedError, HeadraceError
from headrace_server.intake.service import IngestService
from headrace_server.kafka.consumer import cluster_id, make_consumer
from headrace_server.kafka.messages import Message, Reading, Span, spans_of
from headrace_server.kafka.partition import Partition, producer_id

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka import Message as KafkaMessage

log = structlog.get_logger(__name__)

POLL_S = 0.1
MOST_MESSAGES = 10_000
RETRY_S = 1.0
TELL_BROKERS_S = 5.0
OPEN_AGAIN_S = 86_400.0  # an idle partition's session: the ledger forgets producers that are silent for 30 days
CLIENT = f"headrace-kafka/{__version__}"

_KINDS = {"events": batch_pb2.RECORD_KIND_EVENTS, "labels": batch_pb2.RECORD_KIND_LABELS}

Returned = TypeVar("Returned")


class KafkaListener:
    """The door that a topic comes in by.

    Args:
        service: The way in.
        settings: Which topic, and what its messages are.
    """

    def __init__(self, service: IngestService, settings: Kafka) -> None:
        self._service = service
        self._settings = settings
        self._reading = Reading(
            form=settings.form,
            kind=_KINDS[settings.kind],
            model=settings.model,
            model_version=settings.model_version,
            max_rows=service.limits.suggested_batch_rows,
            max_bytes=service.limits.max_batch_bytes // 2,
        )
        self._consumer: Consumer = make_consumer(settings)
        self._cluster = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._partitions: dict[int, Partition] = {}
        self._to_open: set[int] = set()
        self._waiting: deque[tuple[Partition, Span]] = deque()
        self._paused = False
        self._stopping = False
        self._retry_at = 0.0
        self._told: dict[int, int] = {}
        self._tell_at = 0.0

    def stop(self) -> None:
        """Take nothing new; the listener leaves the group with its next poll."""
        self._stopping = True

    async def run(self) -> None:
        """Read until stopped or cancelled.

        Raises:
            TopicUnreadableError: No broker answers at the start.
        """
        settings = self._settings
        # Whoever may start the service may name its topic: no key is asked for, and the project is the setting's.
        with called_by(Caller(settings.project, EVERY_SCOPE, "", f"kafka {settings.topic}")):
            await self._run()

    async def _run(self) -> None:
        try:
            self._cluster = await self._in_thread(lambda: cluster_id(self._consumer, self._settings.topic))
            await self._in_thread(self._subscribe)
            while not self._stopping:
                messages = await self._in_thread(lambda: self._consumer.consume(MOST_MESSAGES, POLL_S))
                await self._take(messages)
                await self._hand_on()
                await self._look_after_partitions()
        finally:
            for partition in self._partitions.values():
                partition.abandon()
            await self._in_thread(self._consumer.close)
            self._thread.shutdown(wait=False)

    # Called inside a poll, in the consumer's thread, while the loop waits for that poll.

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._settings.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        consumer.assign([])  # read from nothing before the ledger has said from where
        self._to_open = {each.partition for each in partitions}

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for partition in self._partitions.values():
            partition.abandon()
        self._partitions.clear()
        self._to_open.clear()
        self._waiting.clear()
        self._told.clear()

    # The loop's own.

    async def _take(self, messages: Sequence[KafkaMessage]) -> None:
        """Turn messages into spans that wait to be handed on."""
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            number = message.partition()
            if (
                message.error() is None
                and number is not None
                and (offset := message.offset()) is not None
                and self._takes(number, offset)
            ):
                own = Message(offset, message.value(), _timestamp_of(message))
                by_partition.setdefault(number, []).append(own)
        for number, consecutive in by_partition.items():
            partition = self._partitions[number]
            spans = await asyncio.to_thread(list, spans_of(partition.place, consecutive, self._reading))
            self._waiting.extend((partition, span) for span in spans)
            partition.taken_offset = consecutive[-1].offset + 1
        for message in messages:  # last: what was taken may have to be read again
            if message.error() is not None:
                await self._on_error(message)

    def _takes(self, number: int, offset: int) -> bool:
        """Whether a message is one to take: its partition goes on, and it was not taken before."""
        partition = self._partitions.get(number)
        if partition is None or partition.failure is not None or number in self._to_open:
            return False
        return offset >= partition.taken_offset

    async def _hand_on(self) -> None:
        """Hand on what there is room for; pause while something waits, resume when nothing does."""
        while self._waiting and self._has_room() and await self._is_within_quota():
            partition, span = self._waiting[0]
            if partition.failure is None:
                try:
                    await partition.put(span, POLL_S)
                except TimeoutError:
                    break
                except HeadraceError as error:
                    partition.failure = error
            self._waiting.popleft()
        if bool(self._waiting) is not self._paused:
            self._paused = bool(self._waiting)
            turn = self._consumer.pause if self._paused else self._consumer.resume
            await self._in_thread(lambda: turn(self._consumer.assignment()))
            log.info("kafka_paused" if self._paused else "kafka_resumed")

    async def _look_after_partitions(self) -> None:
        """Open what the group gave, open again what failed, and tell the brokers how far this group is."""
        for number, partition in list(self._partitions.items()):
            if isinstance(partition.failure, FencedError):
                log.warning("kafka_partition_fenced", place=partition.place)
                del self._partitions[number]  # another consumer has it; the group will say so, too
            elif partition.failure is not None and number not in self._to_open:
                log.warning("kafka_partition_failed", place=partition.place, error=str(partition.failure))
                self._to_open.add(number)
                self._retry_at = monotonic() + RETRY_S
            elif (
                monotonic() - partition.opened_at > OPEN_AGAIN_S and not self._waiting and not partition.in_flight_bytes
            ):
                self._to_open.add(number)
        if self._to_open and monotonic() >= self._retry_at:
            await self._open()
        if monotonic() >= self._tell_at:
            self._tell_at = monotonic() + TELL_BROKERS_S
            await self._tell_brokers()

    async def _open(self) -> None:
        """Open sessions, then read each partition from where its session begins and the others from where they are."""
        opening = set(self._to_open)
        self._waiting = deque((p, span) for p, span in self._waiting if p.failure is None)
        try:
            for number in sorted(opening):
                partition = self._partitions.get(number) or self._new_partition(number)
                await partition.open(CLIENT)
                self._partitions[number] = partition
        except HeadraceError as error:
            log.warning("kafka_partitions_not_opened", error=str(error))
            self._retry_at = monotonic() + RETRY_S
            return
        self._to_open -= opening
        await self._in_thread(self._read_on)
        places = {p.place: p.read_from for p in self._partitions.values()}
        log.info("kafka_partitions_opened", places=places)

    def _new_partition(self, number: int) -> Partition:
        settings = self._settings
        key = producer_id(self._cluster, settings.reading_group, settings.topic, number)
        producer = Producer(settings.project, key)
        return Partition(self._service, producer, f"{settings.topic}/{number}")

    def _read_on(self) -> None:
        """Read every partition from the first offset that was not handed on."""
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition  # noqa: PLC0415 -- an extra

        first = OFFSET_BEGINNING if self._settings.start == "beginning" else OFFSET_END
        self._waiting.clear()  # it is read again
        for partition in self._partitions.values():
            partition.taken_offset = partition.next_offset
        self._consumer.assign(
            [
                TopicPartition(self._settings.topic, number, partition.read_from or first)
                for number, partition in self._partitions.items()
            ]
        )
        self._paused = False

    async def _on_error(self, message: KafkaMessage) -> None:
        """Meet an error of a poll: most librdkafka mends itself; an offset that is not there it cannot."""
        from confluent_kafka import KafkaError  # noqa: PLC0415 -- an extra

        error, number = message.error(), message.partition()
        partition = self._partitions.get(number) if number is not None else None
        if error is None or error.code() != KafkaError._AUTO_OFFSET_RESET or partition is None:  # noqa: SLF001
            log.warning("kafka_error", error=str(error))
            return
        low, high = await self._in_thread(lambda: self._watermarks(number or 0))
        if partition.next_offset > high:
            log.error("kafka_topic_made_anew", place=partition.place, ledger=partition.next_offset, end=high)
            del self._partitions[number or 0]
        elif partition.next_offset < low:
            log.error("kafka_messages_expired", place=partition.place, since=partition.next_offset, until=low)
            partition.lowest_offset = low
            await self._in_thread(self._read_on)

    def _watermarks(self, number: int) -> tuple[int, int]:
        from confluent_kafka import TopicPartition  # noqa: PLC0415 -- an extra

        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._settings.topic, number), timeout=10)
        return low, high

    async def _tell_brokers(self) -> None:
        from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415 -- an extra

        news = {n: p.committed_offset for n, p in self._partitions.items() if p.committed_offset > self._told.get(n, 0)}
        if not news:
            return
        offsets = [TopicPartition(self._settings.topic, number, offset) for number, offset in news.items()]
        try:
            await self._in_thread(lambda: self._consumer.commit(offsets=offsets, asynchronous=True))
            self._told |= news
        except KafkaException as error:
            log.info("kafka_offsets_not_told", error=str(error))

    def _has_room(self) -> bool:
        in_flight_bytes = sum(partition.in_flight_bytes for partition in self._partitions.values())
        return in_flight_bytes < self._settings.in_flight_bytes

    async def _is_within_quota(self) -> bool:
        try:
            return (await self._service.quotas.use_of(self._settings.project)).wait_s <= 0
        except HeadraceError as error:
            log.warning("kafka_quota_unknown", error=str(error))
            return False

    async def _in_thread(self, work: Callable[[], Returned]) -> Returned:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _timestamp_of(message: KafkaMessage) -> int | None:
    kind, milliseconds = message.timestamp()
    return milliseconds if kind else None
