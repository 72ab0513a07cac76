"""The schema's version: migrate, and refuse to work on one we do not know."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from worker.ledger.engine import Ledger, LedgerUnavailable

# Any constant does; it only must not be another application's.
_MIGRATION_LOCK = 0x6E696768


def migrate(ledger: Ledger) -> tuple[str | None, str]:
    """Bring the schema to the newest version; returns (before, after). Safe when several processes start at once."""
    with ledger.transaction() as tx:
        if ledger.dialect == "postgresql":
            tx.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        before = version(tx)
        _refuse_unknown(ledger, before)
        if before != newest():
            command.upgrade(_config(tx), "head")
        return before, newest()


def require_current(ledger: Ledger) -> None:
    """Raise `LedgerUnavailable` unless the schema is the one this code was written for."""
    ledger.ping()
    with ledger.read() as connection:
        found = version(connection)
    _refuse_unknown(ledger, found)
    if found != newest():
        shown = ledger.url.render_as_string()
        message = f"the ledger {shown} has schema {found or 'none'}, this version needs {newest()}: run `nightshift migrate`"
        raise LedgerUnavailable(message)


def _refuse_unknown(ledger: Ledger, found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()}
    if found is not None and found not in known:
        shown = ledger.url.render_as_string()
        message = (
            f"the ledger {shown} has schema {found}, which this version does not know (it knows up to {newest()}): "
            f"run the newer Nightshift that wrote it, or restore a backup; a schema is never taken back"
        )
        raise LedgerUnavailable(message)


def version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
