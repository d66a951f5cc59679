"""What a client does beside logging: publishing, the registry, reading back, datasets, jobs, dead letters.

A model server that only logs needs none of it, so each part is imported and made when it is first asked for: all of it
at once would double the time that `import headrace` takes. Two threads that ask first at the same moment get the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.connecting.calls import Calls
from headrace.connecting.result_stream import ResultStreams

if TYPE_CHECKING:
    from headrace.connecting.channel import Link
    from headrace.deadline import Deadline
    from headrace.publishing.datasets import Datasets
    from headrace.publishing.publish import Publisher
    from headrace.publishing.validate import Validator
    from headrace.reading.reader import Reader
    from headrace.sending.lane import Lane
    from headrace.services.dead_letters import DeadLetters
    from headrace.services.deletions import Deletions
    from headrace.services.jobs import Jobs
    from headrace.services.monitoring import Monitoring
    from headrace.services.registry import Registry
    from headrace.settings import Settings

Part = TypeVar("Part")

# ruff: noqa: PLC0415 -- imported when first asked for, as said above


class Services:
    """The parts of one client, over its two ways to ask.

    Attributes:
        calls: Unary calls.
        streams: Calls that are answered by a stream.
    """

    def __init__(self, link: Link, project: str, settings: Settings, events: Lane, late: Lane) -> None:
        self.calls = Calls(link, project, settings)
        self.streams = ResultStreams(link, settings)
        self._link = link
        self._settings = settings
        self._lanes = (events, late)
        self._takes_sources = True
        self._parts: dict[str, Any] = {}

    def _part(self, name: str, make: Callable[[], Part]) -> Part:
        """Return a part, made now if nobody has asked for it before."""
        made: Part | None = self._parts.get(name)
        return made if made is not None else self._parts.setdefault(name, make())

    @property
    def publisher(self) -> Publisher:
        """Sends whole sources."""
        from headrace.publishing.publish import Publisher

        publisher = self._part("publisher", lambda: Publisher(*self._lanes))
        if not self._takes_sources:
            publisher.close()
        return publisher

    def stop_publishing(self) -> None:
        """Take no further source."""
        self._takes_sources = False
        if "publisher" in self._parts:
            self.publisher.close()

    @property
    def registry(self) -> Registry:
        """The registry of models."""
        from headrace.services.registry import Registry

        return self._part("registry", lambda: Registry(self.calls))

    @property
    def dead_letters(self) -> DeadLetters:
        """Rows the service refused and keeps."""
        from headrace.services.dead_letters import DeadLetters

        return self._part("dead_letters", lambda: DeadLetters(self.calls))

    @property
    def monitoring(self) -> Monitoring:
        """Volume, performance and drift."""
        from headrace.services.monitoring import Monitoring

        return self._part("monitoring", lambda: Monitoring(self.calls))

    @property
    def validator(self) -> Validator:
        """Verdicts without writing."""
        from headrace.publishing.validate import Validator

        return self._part("validator", lambda: Validator(self.calls, self._settings))

    @property
    def reader(self) -> Reader:
        """Events read back."""
        from headrace.reading.reader import Reader

        return self._part("reader", lambda: Reader(self.calls, self.streams))

    @property
    def jobs(self) -> Jobs:
        """What the service does in the background."""
        from headrace.services.jobs import Jobs

        return self._part("jobs", lambda: Jobs(self.calls))

    @property
    def deletions(self) -> Deletions:
        """Events deleted."""
        from headrace.services.deletions import Deletions

        return self._part("deletions", lambda: Deletions(self.calls, self.jobs))

    @property
    def datasets(self) -> Datasets:
        """Datasets, and what is being uploaded."""
        from headrace.publishing.datasets import Datasets

        return self._part(
            "datasets", lambda: Datasets(self.calls, self.jobs, self._link, self._settings.call_timeout_s)
        )

    def finish(self, deadline: Deadline) -> None:
        """Wait until what is being uploaded has ended; as Datasets.finish."""
        if "datasets" in self._parts:
            self.datasets.finish(deadline)

    def close(self) -> None:
        """Let go of connections; what waits for an answer is told so."""
        self.calls.close()
        self.streams.close()

    def before_fork(self) -> None:
        """Leave the network while the process forks."""
        if "datasets" in self._parts:
            self.datasets.before_fork()
        self.calls.before_fork()
        self.streams.end_all()

    def after_fork_in_child(self) -> None:
        """Begin anew."""
        self.calls.after_fork_in_child()
        self.streams.after_fork_in_child()
