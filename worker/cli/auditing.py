"""Listing and verifying the audit."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from worker.audit import Anchor, Trouble, Verifier
from worker.cli.asked import approval_named
from worker.cli.judging import finding_named
from worker.cli.opening import loaded, shift
from worker.cli.printing import say, show_json, show_table
from worker.cli.refusals import REFUSED
from worker.cli.work import run_named
from worker.flow import Shift
from worker.flow.errors import NotFound
from worker.flow.shown import shown
from worker.ledger import audit_rows
from worker.records import ChainedEntry
from worker.relay.chainer import PURPOSE

CHAINED_WITHIN = timedelta(seconds=60)
_AT_ONCE = 5_000


def list_entries(of: str | None, limit: int, *, as_json: bool) -> None:
    """Newest first."""
    opened = shift()
    with opened.ledger.read() as connection:
        rows = audit_rows.recent(connection, object_id=of, limit=limit)
    if of and not rows:
        named = _object_named(opened, of)
        with opened.ledger.read() as connection:
            rows = audit_rows.recent(connection, object_id=named, limit=limit)
    if as_json:
        show_json([shown(row.entry) | {"id": row.id, "number": row.number, "hash": row.hash} for row in rows])
        return
    told = [
        (
            row.number or "",
            row.entry.at,
            row.entry.actor,
            row.entry.verb,
            f"{row.entry.object_kind} {row.entry.object_id}",
            row.entry.facts.get("reason", ""),
        )
        for row in rows
    ]
    show_table(["number", "at", "who", "did", "to", "why"], told, empty="No entries.")


def verify(*, as_json: bool) -> int:
    """Show what is wrong with the chain; returns the exit code."""
    opened = shift()
    verifier = Verifier(
        mac=lambda content, key_id: opened.keys.mac(PURPOSE, content, key_id),
        anchors=_anchors(loaded().settings.audit_anchor_file),
    )
    troubles: list[Trouble] = []
    for entries in _chained(opened):
        troubles += verifier.feed(entries)
    troubles += verifier.finish()
    late = unchained_for_long(opened)
    if as_json:
        show_json(
            {"entries": verifier.number, "troubles": [asdict(trouble) for trouble in troubles], "unchained_over_60_s": late}
        )
    else:
        for trouble in troubles:
            say(str(trouble))
        if late:
            say(f"{late} entries are unchained for more than 60 s: is a relay running (`nightshift up` or `nightshift relay`)?")
        say(f"{verifier.number} entries in the chain, {len(troubles)} troubles")
    return REFUSED if troubles or late else 0


def unchained_for_long(opened: Shift) -> int:
    """Entries that the chainer should have chained by now."""
    with opened.ledger.read() as connection:
        return audit_rows.stale(connection, opened.clock() - CHAINED_WITHIN)


def _object_named(opened: Shift, tail: str) -> str:
    """The id of a request, run or finding that ends so; the text itself when there is none."""
    for named in (approval_named, run_named, finding_named):
        with contextlib.suppress(NotFound):
            return named(opened, tail).id
    return tail


def _chained(opened: Shift) -> Iterator[list[ChainedEntry]]:
    after = 0
    while True:
        with opened.ledger.read() as connection:
            entries = audit_rows.chained(connection, after, _AT_ONCE)
        if not entries:
            return
        yield entries
        after = entries[-1].number or after


def _anchors(file: Path | None) -> list[Anchor]:
    """Each line: instant, number, hash; as the chainer writes it."""
    if file is None or not file.exists():
        return []
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return [Anchor(int(parts[1]), parts[2]) for parts in lines if len(parts) == 3]  # noqa: PLR2004
