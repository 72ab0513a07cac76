"""A PostgreSQL cluster with fsync on, as the ledger's owner would run it."""

import itertools
import signal
from collections.abc import Sequence

import psycopg

from tests.servers.process import Server, find, free_port

USER = "nightshift"


class PostgresServer(Server):
    """`postgres` of the newest version on the machine; everybody on loopback is let in."""

    name = "postgresql"
    user = "postgres"
    # "Fast" shutdown; SIGTERM would wait for every client to leave.
    stop_signal = signal.SIGINT

    def __init__(self) -> None:
        self.binaries = find("postgres", "/usr/lib/postgresql/*/bin/postgres").resolve().parent
        super().__init__()
        self.port = free_port()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the empty database that is there from the start."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def conninfo(self, database: str = "postgres") -> str:
        """The same for psycopg itself."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def argv(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on",
            "synchronous_commit": "on",
            "logging_collector": "off",
        }
        options = (word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        return [str(self.binaries / "postgres"), "-D", str(self.folder / "cluster"), *options]

    def start(self) -> None:
        cluster = self.folder / "cluster"
        if not cluster.exists():
            initdb = str(self.binaries / "initdb")
            self.run([initdb, "-D", str(cluster), "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
        super().start()

    def ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def crash(self) -> None:
        """Immediate shutdown: no checkpoint, every client thrown out; `start` recovers from the log."""
        self._end(signal.SIGQUIT)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo(), autocommit=True, connect_timeout=30) as connection:
            connection.execute(statement.encode())

    def create_database(self, template: str = "template0") -> str:
        """A fresh database by name; empty, or a copy of `template` (to which nobody may be connected)."""
        name = f"ledger_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def wipe(self, name: str) -> None:
        """Lose everything in the database `name`, and every connection to it."""
        self.drop_database(name)
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
