"""Migrations make the tables the code was written for, once, and only forwards."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError

from worker.ledger import Ledger, LedgerUnavailable, schedules
from worker.ledger.schema import migrate, newest, require_current, version
from worker.ledger.tables import METADATA


def test_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_migrating_tells_from_what_to_what_and_the_second_time_changes_nothing(empty_ledger_url: str) -> None:
    with closing(Ledger(empty_ledger_url)) as ledger:
        assert migrate(ledger) == (None, newest())
        assert migrate(ledger) == (newest(), newest())
        require_current(ledger)


def test_processes_that_migrate_at_once_do_it_once(empty_ledger_url: str) -> None:
    def start(_: int) -> tuple[str | None, str]:
        with closing(Ledger(empty_ledger_url)) as ledger:
            return migrate(ledger)

    with ThreadPoolExecutor(6) as pool:
        done = sorted(pool.map(start, range(6)), key=str)
    assert done == [*[(newest(), newest())] * 5, (None, newest())]


def test_a_ledger_without_tables_is_refused_with_what_to_run(empty_ledger_url: str) -> None:
    with closing(Ledger(empty_ledger_url)) as ledger, pytest.raises(LedgerUnavailable) as refused:
        require_current(ledger)
    assert f"has schema none, this version needs {newest()}: run `nightshift migrate`" in str(refused.value)


def test_a_schema_of_a_newer_version_is_neither_used_nor_taken_back(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (migrate, require_current):
        with pytest.raises(LedgerUnavailable, match="has schema 9999, which this version does not know"):
            attempt(ledger)
    with ledger.read() as connection:
        assert version(connection) == "9999"


def test_a_ledger_that_does_not_answer_is_named_without_its_password() -> None:
    with (
        closing(Ledger("postgresql://night:hunter2hunter2@127.0.0.1:1/ledger")) as ledger,
        pytest.raises(LedgerUnavailable) as refused,
    ):
        require_current(ledger)
    assert str(refused.value).startswith("the ledger postgresql+psycopg://night:***@127.0.0.1:1/ledger does not answer: ")
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_database_does_not_answer(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_text("these are notes of the last meeting, and not a ledger at all" * 100)
    with closing(Ledger(f"sqlite:///{file}")) as ledger, pytest.raises(LedgerUnavailable, match="file is not a database"):
        ledger.ping()


def test_a_folder_that_cannot_be_made_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(Ledger(f"sqlite:///{tmp_path}/file/ledger.db")) as ledger, pytest.raises(LedgerUnavailable):
        ledger.ping()


def test_a_database_of_another_kind_is_refused() -> None:
    with pytest.raises(LedgerUnavailable, match="accepted are sqlite:///PATH and postgresql://"):
        Ledger("mysql://night:hunter2@127.0.0.1/ledger")


def test_an_instant_without_a_zone_is_refused_on_either_database(ledger: Ledger) -> None:
    with pytest.raises(StatementError, match="naive datetime"), ledger.transaction() as tx:
        schedules.sync(tx, ["nightly"], datetime(2026, 11, 21, 2, 14))  # noqa: DTZ001
    with ledger.read() as connection:
        assert schedules.listing(connection) == []


def test_an_error_does_not_tell_what_the_statement_was_given(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError) as refused, ledger.read() as connection:
        connection.execute(text("SELECT :told FROM nowhere"), {"told": "a-secret"})
    assert "a-secret" not in str(refused.value)
