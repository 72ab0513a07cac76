"""Opening the ledger: SQLite (WAL, synchronous FULL, BEGIN IMMEDIATE) or PostgreSQL (psycopg 3)."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

BUSY_TIMEOUT_MS = 10_000
OVERFLOW = 40
"""Connections beyond the pool's: each of the gateway's 40 threads may ask for a second one while it holds its first, and
with fewer than 41 in all they could wait for each other."""
_LOOK_OFTEN_SECONDS, _LOOK_EVERY_SECONDS = 0.05, 0.0003


class LedgerUnavailable(Exception):  # noqa: N818 - states a condition
    """The database does not answer, or is not migrated; the message says what and what to do."""


class Ledger:
    """A lazily opened database. The engine is made per process: a connection must never cross a fork."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        elif parsed.get_backend_name() != "sqlite":
            message = f"ledger_url {parsed.render_as_string()}: accepted are sqlite:///PATH and postgresql://…"
            raise LedgerUnavailable(message)
        self.url = parsed
        self._pool_size = pool_size
        self._engine: Engine | None = None
        self._pid = 0
        self._abandoned: list[Engine] = []

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.url.get_backend_name()

    @property
    def engine(self) -> Engine:
        if self._engine is None or self._pid != os.getpid():
            if self._engine is not None:
                # The parent's connections: kept from the garbage collector, which would close them under the parent.
                self._abandoned.append(self._engine)
            self._engine = self._open()
            self._pid = os.getpid()
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One write transaction; commits at the end of the block, rolls back on any exception."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """For a write of `turns`: on PostgreSQL one statement, a transaction by itself; else as `transaction`."""
        with self.read() if self.dialect == "postgresql" else self.transaction() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Reads outside any transaction; each statement sees what is committed."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def ping(self) -> None:
        """Raise `LedgerUnavailable` unless the database answers."""
        try:
            with self.read() as connection:
                connection.execute(text("SELECT 1"))
        except (DBAPIError, OSError) as error:
            told = error.orig if isinstance(error, DBAPIError) else error
            reason = next(iter(str(told).strip().splitlines()), type(told).__name__)
            message = f"the ledger {self.url.render_as_string()} does not answer: {reason}"
            raise LedgerUnavailable(message) from error

    def close(self) -> None:
        if self._engine is not None and self._pid == os.getpid():
            self._engine.dispose()
        self._engine = None

    def _open(self) -> Engine:
        if self.dialect == "sqlite":
            return self._open_sqlite()
        return create_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=OVERFLOW,
            pool_pre_ping=False,
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "application_name": "nightshift"},
        )

    def _open_sqlite(self) -> Engine:
        if self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            self.url,
            pool_size=self._pool_size,
            max_overflow=OVERFLOW,
            # An error is logged: what the statement was given does not belong there.
            hide_parameters=True,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine


def _prepare_sqlite(connection: Any, record: object) -> None:  # noqa: ARG001 - the shape of the event
    # The driver must not open transactions of its own: BEGIN IMMEDIATE is ours to say.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads first fails at once with "database is locked" when it comes to write.
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    raw = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection) or not _begun_soon(raw):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begun_soon(raw: sqlite3.Connection) -> bool:
    """Whether our turn came while we looked often: SQLite itself sleeps 1, 2, 5, 10 … ms, while another's turn takes one."""
    give_up = monotonic() + _LOOK_OFTEN_SECONDS
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while monotonic() < give_up:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                time.sleep(_LOOK_EVERY_SECONDS)
            else:
                return True
        return False
    finally:
        raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
