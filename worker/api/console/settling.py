"""What a person needs to settle a run without signing in: what was seen, and what its steps said."""

from collections.abc import Sequence

from sqlalchemy import Connection

from worker.flow.carried import Carried
from worker.ledger import keepings
from worker.records import Run
from worker.redaction import PROCESS

MOST_OUTPUTS = 6


def lines_seen(carried: Carried | None) -> list[str]:
    """What looking again showed, a line for each thing that was looked at, the worst first."""
    detail = str(carried.seen[-1].get("detail", "")) if carried is not None and carried.seen else ""
    return [part.strip() for line in detail.splitlines() for part in line.split("; ") if part.strip()]


def outputs(connection: Connection, run: Run) -> list[tuple[str, Sequence[str] | None]]:
    """The run's texts by name, masked, as lines; None: kept encrypted."""
    texts = [name for name in keepings.artifacts_of(connection, run.id) if name[3].startswith("text/")]
    return [(name, _lines(connection, sha256)) for name, sha256, _, _ in texts[:MOST_OUTPUTS]]


def _lines(connection: Connection, sha256: str) -> list[str] | None:
    stored = keepings.artifact(connection, sha256)
    if stored is None or stored.key_id is not None:
        return None
    return PROCESS.redact(stored.content.decode(errors="replace")).splitlines()
