"""States in a PostgreSQL table: `postgres://user@host/database?table=pulumi_state`. Read-only transactions, two statements."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tasks.providers.pulumi.backends.reading import Checkpoint, refused, unreachable

_TABLE = "pulumi_state"
_REFUSALS = ("28", "42501")
"""SQLSTATE: invalid authorization, insufficient privilege."""
_NO_TABLE = "42P01"
_WORDS = re.compile(r"authentication failed|no password supplied|permission denied|role \"[^\"]*\" does not exist|pg_hba")
"""Of a refusal at connection, which has no SQLSTATE."""


@dataclass(frozen=True, slots=True)
class PostgresBlobs:
    """`Blobs` in one table: `key`, `data` (JSON with base64), `updated_at`."""

    address: str
    """As libpq reads it, without Pulumi's own options."""
    where: str
    table: str
    folder: str
    credentials: Mapping[str, str]

    def keys(self, prefix: str) -> Sequence[str]:
        wanted = self.folder + prefix
        rows = self._rows("SELECT key FROM {} WHERE starts_with(key, %s) ORDER BY key", wanted)
        return [str(key).removeprefix(self.folder) for (key,) in rows]

    def read(self, key: str) -> Checkpoint | None:
        rows = self._rows("SELECT data->>'data', updated_at FROM {} WHERE key = %s", self.folder + key)
        return Checkpoint(content=b64decode(rows[0][0]), updated_at=rows[0][1]) if rows else None

    def _rows(self, statement: str, argument: str) -> list[Any]:
        import psycopg  # noqa: PLC0415 - the ledger may be SQLite, and then nothing else loads it
        from psycopg import sql  # noqa: PLC0415

        with self._told():
            query = sql.SQL(statement).format(sql.Identifier(*self.table.split(".")))
            with psycopg.connect(self.address, connect_timeout=10, **self._login()) as connection:
                connection.read_only = True
                return connection.execute(query, (argument,)).fetchall()

    def _login(self) -> dict[str, Any]:
        names = {"PGUSER": "user", "PGPASSWORD": "password", "PGSSLROOTCERT": "sslrootcert", "PGSSLMODE": "sslmode"}
        return {names[name]: value for name, value in self.credentials.items() if name in names}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What psycopg raises, in our words; its own may hold the connection string."""
        import psycopg  # noqa: PLC0415

        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state == _NO_TABLE:
                raise unreachable(self.where, f"it has no table {self.table}") from None
            if state.startswith(_REFUSALS) or _WORDS.search(str(error)):
                raise refused(self.where, state or "at connection") from None
            raise unreachable(self.where, f"{type(error).__name__} {state}".strip()) from None


def open_postgres(url: str, credentials: Mapping[str, str]) -> PostgresBlobs:
    """The database's name is also the folder of every key: so Pulumi reads the path of any URL."""
    parts = urlsplit(url)
    options = parse_qsl(parts.query)
    table = next((value for name, value in options if name == "table"), _TABLE)
    query = urlencode([(name, value) for name, value in options if name != "table"])
    folder = parts.path.strip("/")
    where = f"postgres://{parts.hostname}{parts.path}"
    return PostgresBlobs(urlunsplit(parts._replace(query=query)), where, table, f"{folder}/" if folder else "", dict(credentials))
