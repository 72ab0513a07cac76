"""What runs leave behind besides findings: facts, artifacts, log lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from tasks.model import Json
from worker.ledger.tables import ARTIFACTS, FACTS, RUN_ARTIFACTS, RUN_LINES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """An artifact as stored: `content` is encrypted when `key_id` is set."""

    sha256: str
    size: int
    media_type: str
    key_id: str | None
    content: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One log line of a run."""

    number: int
    at: datetime
    level: str
    event: str
    facts: Mapping[str, Json]


def facts(connection: Connection, job: str, subject: str, name: str, limit: int) -> list[tuple[int, Json, datetime]]:
    """(version, value, recorded_at), newest first."""
    statement = select(FACTS.c.version, FACTS.c.value, FACTS.c.recorded_at).where(
        FACTS.c.job == job, FACTS.c.subject == subject, FACTS.c.name == name
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(statement.order_by(FACTS.c.version.desc()).limit(limit))]


def add_fact(
    tx: Connection,
    *,
    job: str,
    subject: str,
    name: str,
    value: Json,
    run_id: str,
    at: datetime,
) -> None:
    """Keep `value` as the next version, unless it equals the latest."""
    latest = facts(tx, job, subject, name, 1)
    if latest and latest[0][1] == value:
        return
    version = latest[0][0] + 1 if latest else 1
    values = {
        "job": job,
        "subject": subject,
        "name": name,
        "version": version,
        "value": value,
    }
    tx.execute(insert(FACTS).values(**values, run_id=run_id, recorded_at=at))


def keep_artifact(tx: Connection, artifact: StoredArtifact, *, run_id: str, name: str) -> None:
    """Keep the bytes once, and the run's name for them."""
    upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    row: dict[str, Any] = {
        "sha256": artifact.sha256,
        "size": artifact.size,
        "media_type": artifact.media_type,
        "key_id": artifact.key_id,
        "retention": "run",
        "content": artifact.content,
        "created_at": artifact.created_at,
    }
    put_bytes = upsert(ARTIFACTS).values(row)
    if artifact.key_id is None:
        tx.execute(put_bytes.on_conflict_do_nothing())
    else:
        # The same bytes may have been kept in clear before somebody knew that they are secret.
        hidden = {"key_id": artifact.key_id, "content": artifact.content}
        in_clear = ARTIFACTS.c.key_id.is_(None)
        tx.execute(put_bytes.on_conflict_do_update(index_elements=[ARTIFACTS.c.sha256], set_=hidden, where=in_clear))
    named = {"run_id": run_id, "name": name, "sha256": artifact.sha256}
    put = upsert(RUN_ARTIFACTS).values(named)
    keys = [RUN_ARTIFACTS.c.run_id, RUN_ARTIFACTS.c.name]
    tx.execute(put.on_conflict_do_update(index_elements=keys, set_={"sha256": artifact.sha256}))


def artifacts_of(connection: Connection, run_id: str) -> list[tuple[str, str, int, str]]:
    """(name, sha256, size, media type) by name."""
    statement = select(
        RUN_ARTIFACTS.c.name,
        ARTIFACTS.c.sha256,
        ARTIFACTS.c.size,
        ARTIFACTS.c.media_type,
    ).join(ARTIFACTS)
    rows = connection.execute(statement.where(RUN_ARTIFACTS.c.run_id == run_id).order_by(RUN_ARTIFACTS.c.name))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def artifact(connection: Connection, sha256: str) -> StoredArtifact | None:
    row = connection.execute(select(ARTIFACTS).where(ARTIFACTS.c.sha256 == sha256)).first()
    if row is None:
        return None
    return StoredArtifact(
        sha256=row.sha256,
        size=row.size,
        media_type=row.media_type,
        key_id=row.key_id,
        content=row.content,
        created_at=row.created_at,
    )


def add_lines(tx: Connection, run_id: str, fence: int, lines: Sequence[Line]) -> None:
    """Keep log lines of one attempt; those that are kept already stay."""
    rows = [
        {
            "run_id": run_id,
            "fence": fence,
            "number": line.number,
            "at": line.at,
            "level": line.level,
            "event": line.event,
            "facts": dict(line.facts),
        }
        for line in lines
    ]
    if rows:
        # A heartbeat whose COMMIT was applied and not confirmed writes its lines again.
        upsert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        tx.execute(upsert(RUN_LINES).on_conflict_do_nothing(), rows)


def lines_of(connection: Connection, run_id: str, limit: int = 1000) -> list[tuple[int, Line]]:
    """(fence, line) in order; the newest `limit` of them."""
    newest = select(RUN_LINES).where(RUN_LINES.c.run_id == run_id)
    rows = connection.execute(newest.order_by(RUN_LINES.c.fence.desc(), RUN_LINES.c.number.desc()).limit(limit)).all()
    return [
        (
            row.fence,
            Line(
                number=row.number,
                at=row.at,
                level=row.level,
                event=row.event,
                facts=row.facts,
            ),
        )
        for row in reversed(rows)
    ]
