"""Column types and the database's own clock, alike on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, DateTime, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

JSON_TYPE = JSON().with_variant(JSONB(), "postgresql")


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps it as text that sorts as time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"naive datetime {value!r}: every instant is aware"
            raise ValueError(message)
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, plus the seconds given as its one argument, if any.

    Leases are counted on it, so that hosts whose clocks differ agree. On PostgreSQL it is `clock_timestamp()`:
    `now()` stands still inside a transaction.
    """

    type = Instant()
    inherit_cache = True

    def __init__(self, *offset_seconds: ColumnElement[Any]) -> None:
        super().__init__(*offset_seconds)


@compiles(database_now, "postgresql")
def _postgresql(element: database_now, compiler: Any, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {offset}))" if offset else "clock_timestamp()"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: Any, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    shift = f", {offset} || ' seconds'" if offset else ""
    # %f has three digits; the zeros keep the text as wide as Python's six, so that it sorts.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{shift})"
