"""Putting a configuration in force: a revision of the ledger, once and for all processes."""

from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from worker.configuration.model import Configuration
from worker.ledger import Ledger, audit_rows, revisions, schedules
from worker.ledger.tables import STATE
from worker.records import Actor, AuditEntry, Revision


@dataclass(frozen=True, slots=True)
class Applied:
    """The revision now in force; `changed` is False when it was so before."""

    id: int
    digest: str
    changed: bool


class UnknownRevisionError(LookupError):
    """No revision has that number."""


def apply(ledger: Ledger, configuration: Configuration, *, actor: Actor, note: str, at: datetime) -> Applied:
    """Put `configuration` in force as a new revision, unless it is in force already. One transaction."""
    with ledger.transaction() as tx:
        return _put_in_force(tx, configuration, AuditEntry(
            at=at, actor=str(actor), verb="configure", object_kind="revision", object_id="", facts={"note": note}
        ))  # fmt: skip


def rollback(ledger: Ledger, revision_id: int, *, actor: Actor, at: datetime) -> Applied:
    """Put the content of an earlier revision in force again, as a new one. Raises `UnknownRevisionError`."""
    with ledger.transaction() as tx:
        earlier = revisions.get(tx, revision_id)
        if earlier is None:
            raise UnknownRevisionError(f"there is no revision {revision_id}; the newest are {_newest(tx)}")
        configuration = Configuration.model_validate(earlier.content)
        facts: dict[str, object] = {"note": f"rollback to revision {revision_id}", "rollback_to": revision_id}
        entry = AuditEntry(at=at, actor=str(actor), verb="rollback", object_kind="revision", object_id="", facts=facts)
        return _put_in_force(tx, configuration, entry)


_IN_FORCE: WeakKeyDictionary[Ledger, tuple[Revision, Configuration]] = WeakKeyDictionary()


def current(ledger: Ledger) -> tuple[Revision, Configuration] | None:
    """What is in force. One small read; the content is read and parsed once per revision and process."""
    with ledger.read() as connection:
        revision_id = revisions.current_id(connection)
        known = _IN_FORCE.get(ledger)
        if known and known[0].id == revision_id:
            return known
        revision = revisions.current(connection)
    if revision is None:
        return None
    found = (revision, Configuration.model_validate(revision.content))
    _IN_FORCE[ledger] = found
    return found


def _put_in_force(tx: Connection, configuration: Configuration, entry: AuditEntry) -> Applied:
    # Holds the ledger's one state row: of two who apply the same files at once, the second sees that it is done.
    revisions.set_state(tx, revision=STATE.c.revision)
    before = revisions.current(tx)
    digest = configuration.digest
    if before and before.digest == digest:
        return Applied(before.id, digest, changed=False)
    note = str(entry.facts["note"])
    revision_id = revisions.insert_revision(
        tx, digest=digest, content=configuration.content, applied_by=entry.actor, note=note, at=entry.at
    )
    schedules.sync(tx, [schedule.name for schedule in configuration.schedules], entry.at)
    facts: dict[str, object] = {"digest": digest, "previous": before.id if before else None}
    facts.update(entry.facts)
    audit_rows.append(tx, replace(entry, object_id=str(revision_id), facts=facts))
    return Applied(revision_id, digest, changed=True)


def _newest(tx: Connection) -> str:
    return ", ".join(str(revision.id) for revision in revisions.listing(tx, 5)) or "none"
