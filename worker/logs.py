"""Logs: one line an event on stderr, JSON or for people, `run_id` on every line of a run, no secrets.

Libraries that log by `logging` (uvicorn, celery, alembic) go through the same renderer.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.redaction import PROCESS

Format = Literal["json", "console"]
QUIET = ("httpx", "httpcore", "asyncio", "alembic.runtime.plugins", "alembic.runtime.migration")
"""Libraries whose info lines tell nothing that ours do not."""
TAKEN_OVER = ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "celery.worker", "alembic", "tornado.access")
"""Loggers that come with handlers of their own."""


def configure(log_format: Format, level: str, stream: TextIO | None = None) -> None:
    """Set up logging of this process; call it first, and again after a fork or when a library took over. `level`: `info`, …"""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), _drop_color_message],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(log_format, stream)],
    )
    root_handler = logging.StreamHandler(stream or sys.stderr)
    root_handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [root_handler]
    root.setLevel(level.upper())
    for name in TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_log(name: str) -> structlog.stdlib.BoundLogger:
    """A log: `get_log(__name__).info("run_claimed", fence=3)`. A fixed event name, facts as fields, never a secret."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return log


@contextmanager
def bound(**facts: object) -> Iterator[None]:
    """Put `facts` (run_id, job, …) on every line that this thread or task logs inside the block."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The processor that masks secrets anywhere in an event, tracebacks included."""
    clean = PROCESS.redact_all(event)
    return clean if isinstance(clean, dict) else {}


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _rendered(log_format: Format, stream: TextIO | None) -> list[Processor]:
    # Tracebacks become text before they are redacted: a secret may stand in an exception's message.
    before: list[Processor] = [structlog.processors.format_exc_info, redact]
    if log_format == "json":
        return [*before, structlog.processors.JSONRenderer(ensure_ascii=False)]
    colours = (stream or sys.stderr).isatty()
    return [*before, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]


def _drop_color_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # uvicorn says everything twice, once in colour.
    event.pop("color_message", None)
    return event
