from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.configuration.conftest import WHOLE_ESTATE
from worker.configuration import (
    Configuration,
    ConfigurationError,
    UnknownRevisionError,
    Watcher,
    apply,
    current,
    diff,
    rollback,
)
from worker.ledger import Ledger, audit_rows, schedules
from worker.records import Actor, ActorKind

ANA = Actor(ActorKind.PERSON, "Ana")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
Checked = Callable[..., Configuration]


def put(ledger: Ledger, configuration: Configuration, minute: int = 0) -> int:
    return apply(ledger, configuration, actor=ANA, note="first", at=NOON + timedelta(minutes=minute)).id


def test_nothing_is_in_force_before_the_first_apply(ledger: Ledger) -> None:
    assert current(ledger) is None


def test_an_applied_configuration_is_in_force_with_its_schedules_and_audit_row(ledger: Ledger, checked: Checked) -> None:
    configuration = checked(estate=WHOLE_ESTATE)
    applied = apply(ledger, configuration, actor=ANA, note="first", at=NOON)
    assert (applied.digest, applied.changed) == (configuration.digest, True)
    found = current(ledger)
    assert found is not None
    assert (found[0].id, found[0].applied_by, found[1]) == (applied.id, "person:Ana", configuration)
    with ledger.read() as connection:
        assert [row.name for row in schedules.listing(connection)] == ["nightly-commands"]
        (row,) = audit_rows.recent(connection)
    assert (row.entry.verb, row.entry.object_id) == ("configure", str(applied.id))
    assert row.entry.facts == {"note": "first", "digest": configuration.digest, "previous": None}


def test_applying_what_is_in_force_changes_nothing(ledger: Ledger, checked: Checked) -> None:
    first = put(ledger, checked(estate=WHOLE_ESTATE))
    again = apply(ledger, checked(estate=f"# a comment\n{WHOLE_ESTATE}"), actor=ANA, note="again", at=NOON)
    assert (again.id, again.changed) == (first, False)
    with ledger.read() as connection:
        assert audit_rows.count(connection) == 1


def test_what_is_in_force_follows_an_apply_by_another_process(ledger: Ledger, ledger_url: str, checked: Checked) -> None:
    put(ledger, checked(estate=WHOLE_ESTATE))
    assert current(ledger) is not None
    other = Ledger(ledger_url)
    changed = checked(estate='[[command]]\nname = "only"\nargv = ["true"]\n')
    put(other, changed, minute=1)
    other.close()
    found = current(ledger)
    assert found is not None
    assert found[1] == changed


def test_a_schedule_that_left_the_files_is_no_longer_active(ledger: Ledger, checked: Checked) -> None:
    put(ledger, checked(estate=WHOLE_ESTATE))
    put(ledger, checked(estate=""), minute=1)
    with ledger.read() as connection:
        assert schedules.listing(connection) == []


def test_a_rollback_puts_the_old_content_in_force_as_a_new_revision(ledger: Ledger, checked: Checked) -> None:
    old = checked(estate=WHOLE_ESTATE)
    first = put(ledger, old)
    second = put(ledger, checked(estate=""), minute=1)
    back = rollback(ledger, first, actor=ANA, at=NOON + timedelta(minutes=2))
    assert (back.digest, back.changed) == (old.digest, True)
    assert back.id > second
    found = current(ledger)
    assert found is not None
    assert (found[0].note, found[1]) == (f"rollback to revision {first}", old)


def test_a_rollback_to_a_revision_that_never_was_is_refused(ledger: Ledger, checked: Checked) -> None:
    first = put(ledger, checked())
    with pytest.raises(UnknownRevisionError, match=f"there is no revision 99; the newest are {first}"):
        rollback(ledger, 99, actor=ANA, at=NOON)


def test_invalid_files_leave_the_revision_in_force(ledger: Ledger, checked: Checked) -> None:
    valid = checked(estate=WHOLE_ESTATE)
    put(ledger, valid)
    with pytest.raises(ConfigurationError):
        put(ledger, checked(estate="[[nonsense]]\n"), minute=1)
    found = current(ledger)
    assert found is not None
    assert found[1] == valid


def test_the_watcher_tells_each_change_of_content_once(folder: Path, checked: Checked) -> None:
    checked(estate=WHOLE_ESTATE)
    watcher = Watcher(folder)
    assert not watcher.changed()
    (folder / "estate.toml").touch()
    assert not watcher.changed()
    (folder / "schedules" / "new.toml").write_text("", encoding="utf-8")
    assert (watcher.changed(), watcher.changed()) == (True, False)


def test_a_diff_names_what_was_added_removed_and_changed(checked: Checked) -> None:
    old = checked(estate=WHOLE_ESTATE)
    new = checked(
        estate=WHOLE_ESTATE.replace('"propose"', '"execute"').replace('name = "disk"', 'name = "space"'),
        people='[[person]]\nname = "Ana"\n',
    )
    assert [str(change) for change in diff(old, new)] == [
        "entry command/disk: removed",
        "entry command/space: added",
        "environment production: changed mode: propose → execute",
        "person Ana: added",
    ]
    assert diff(new, new) == []


def test_a_diff_does_not_show_the_hash_of_a_pin(checked: Checked) -> None:
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"
    old = checked(people='[[person]]\nname = "Ana"\n')
    new = checked(people=f'[[person]]\nname = "Ana"\npin_hash = "{hashed}"\n')
    assert [str(change) for change in diff(old, new)] == ["person Ana: changed pin_hash: None → ***"]
