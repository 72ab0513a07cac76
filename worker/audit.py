"""The audit chain and its verifier. Pure: rows in, links or troubles out.

Every committed row gets a gapless number, the hash of the row before and an HMAC under an instance key. The chain covers
rows by the hash of their payload, so that retention may drop a payload and the chain still verifies.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from worker.records import AuditEntry, ChainedEntry

GENESIS = "0" * 64
Mac = Callable[[bytes, str | None], tuple[str, str]]
"""(content, key id or None for the current one) → (key id, HMAC in hex)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing wrong with the chain."""

    kind: str
    """`edited`, `dropped`, `inserted`, `reordered`, `forged` or `cut`."""
    row: int | None
    number: int | None
    detail: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.row is not None else f"number {self.number}"
        return f"{self.kind}: {where}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of the chain as written outside the database."""

    number: int
    hash: str


def payload_hash(entry: AuditEntry) -> str:
    """SHA-256 over the canonical JSON of the entry's members."""
    content = {
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "verb": entry.verb,
        "object": [entry.object_kind, entry.object_id],
        "facts": entry.facts,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def link_hash(number: int, row: int, previous: str, payload: str) -> str:
    return hashlib.sha256(f"nightshift-audit-v1\n{number}\n{row}\n{previous}\n{payload}".encode()).hexdigest()


def links(head: ChainedEntry | None, rows: Iterable[ChainedEntry], mac: Mac) -> Iterator[Mapping[str, object]]:
    """The chain's members for `rows`, in order, after `head`."""
    number, previous = (head.number or 0, head.hash or GENESIS) if head else (0, GENESIS)
    for row in rows:
        number += 1
        payload = payload_hash(row.entry)
        linked = link_hash(number, row.id, previous, payload)
        key_id, code = mac(linked.encode(), None)
        yield {
            "row": row.id,
            "number": number,
            "payload_hash": payload,
            "previous_hash": previous,
            "hash": linked,
            "mac": code,
            "key_id": key_id,
        }
        previous = linked


@dataclass(slots=True)
class Verifier:
    """Fed with chained entries in the order of their numbers; gathers what is wrong."""

    mac: Mac
    anchors: Sequence[Anchor] = ()
    number: int = 0
    previous: str = GENESIS
    sound: bool = True

    def feed(self, entries: Iterable[ChainedEntry]) -> Iterator[Trouble]:
        """Troubles of these entries; each row is named once, by the first thing that is wrong with it."""
        for entry in entries:
            gap = self._gap(entry)
            if gap:
                yield gap
            trouble = self._judge(entry, follows=not gap) or self._anchored(entry)
            if trouble:
                yield trouble
            self.number, self.previous = entry.number or 0, entry.hash or GENESIS
            # What follows a row that is named already is not blamed for it.
            self.sound = trouble is None

    def finish(self) -> Iterator[Trouble]:
        """Anchors beyond the last entry: the end of the chain was cut off."""
        for anchor in self.anchors:
            if anchor.number > self.number:
                detail = f"an anchor knows number {anchor.number}, the chain ends at {self.number}"
                yield Trouble("cut", None, anchor.number, detail)
                return

    def _gap(self, entry: ChainedEntry) -> Trouble | None:
        expected = self.number + 1
        if entry.number == expected:
            return None
        return Trouble("dropped", None, expected, f"numbers {expected} to {(entry.number or 0) - 1} are missing")

    def _judge(self, entry: ChainedEntry, *, follows: bool) -> Trouble | None:
        assert entry.number is not None
        content = link_hash(entry.number, entry.id, entry.previous_hash or "", entry.payload_hash or "")
        if payload_hash(entry.entry) != entry.payload_hash:
            return Trouble("edited", entry.id, entry.number, "its content is not what was chained")
        if not self._mac_fits(entry):
            return Trouble("inserted", entry.id, entry.number, "it was not chained with a key of this instance")
        if content != entry.hash:
            return Trouble("reordered", entry.id, entry.number, "its number is not the one that was chained")
        if follows and self.sound and entry.previous_hash != self.previous:
            return Trouble("reordered", entry.id, entry.number, "it does not follow the entry before it")
        return None

    def _mac_fits(self, entry: ChainedEntry) -> bool:
        try:
            return self.mac((entry.hash or "").encode(), entry.key_id)[1] == entry.mac
        except Exception:  # noqa: BLE001 - a key that is not here cannot vouch for anything
            return False

    def _anchored(self, entry: ChainedEntry) -> Trouble | None:
        for anchor in self.anchors:
            if (anchor.number == entry.number) and (anchor.hash != entry.hash):
                return Trouble("forged", entry.id, entry.number, "an anchor outside the database knows another hash for it")
        return None
