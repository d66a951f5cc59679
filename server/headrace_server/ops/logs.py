"""Structured logs on standard error, ours and every library's through one pipe.

structlog for ourselves, bridged with the standard library's logging, so that grpc, uvicorn and asyncio come out in the
same form: lines for people on a terminal, one JSON object a line for machines. Nothing is logged per row or per batch;
those have counters.
"""

import logging
import sys
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

# Says "started" and "finished" where the service already does, with more in it.
QUIET = ("uvicorn.error", "uvicorn.access")

# Tells of each connection it cannot open, with a traceback; the service says once that the database is away.
SAID_ELSEWHERE = ("asyncpg.pool",)

FIRST = ("timestamp", "level", "event", "logger")


def configure(
    *,
    level: str = "info",
    form: Literal["auto", "console", "json"] = "auto",
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Set up logging of the process; may be called again.

    Args:
        level: Least severe level that is written: debug, info, warning or error.
        form: What lines look like; auto is console on a terminal and json elsewhere.
        stream: Where they go. Default: standard error.
        worker: Number of this worker, said in every line. Default: the service is one process.
    """
    stream = stream or sys.stderr
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    common: list[Processor] = [
        *([] if worker is None else [_said_by(worker)]),
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Loggers are module globals; a cached one would keep the pipe of the first call.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_json() if as_json else _console(stream)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SAID_ELSEWHERE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _console(stream: TextIO) -> list[Processor]:
    # Never with the values of local variables, which may hold rows and passwords.
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


def _said_by(worker: int) -> Processor:
    return lambda _, __, entry: {"worker": worker, **entry}


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, _ordered, structlog.processors.JSONRenderer(serializer=_dumps)]


def _ordered(_: object, __: str, entry: EventDict) -> EventDict:
    """Begin every line alike, for whoever reads them raw."""
    return {name: entry[name] for name in FIRST if name in entry} | {**entry}


def _dumps(entry: dict[str, Any], default: Any = str, **_: Any) -> str:
    return orjson.dumps(entry, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
