"""The chainer: gives committed audit rows their number, the hash of the row before, and a MAC. One at a time, by a lock."""

from dataclasses import dataclass
from pathlib import Path

from worker.audit import links
from worker.flow.shift import Shift
from worker.ledger import audit_rows, seats

_AT_ONCE = 1_000
_LOCK_SECONDS = 15.0
PURPOSE = "audit"


@dataclass(slots=True)
class Chainer:
    """One step chains what is committed and not chained yet; now and then the head is written outside the database."""

    shift: Shift
    seat: str
    anchors: Path | None = None
    _anchored: int = 0

    def step(self) -> bool:
        """True when there is more to chain."""
        with self.shift.ledger.read() as connection:
            waiting = audit_rows.unchained(connection, 1)
        if not waiting:
            return False
        with self.shift.ledger.transaction() as tx:
            if not seats.hold(tx, "chainer", owner=self.seat, seconds=_LOCK_SECONDS):
                return False
            rows = audit_rows.unchained(tx, _AT_ONCE)
            made = list(links(audit_rows.head(tx), rows, self._mac))
            audit_rows.link(tx, made)
        if made:
            self._anchor(made[-1]["number"], made[-1]["hash"])
        return len(made) == _AT_ONCE

    def _mac(self, content: bytes, key_id: str | None) -> tuple[str, str]:
        return self.shift.keys.mac(PURPOSE, content, key_id)

    def _anchor(self, number: object, head: object) -> None:
        """Append the head of the chain to a file: cutting the chain's end off would show."""
        if self.anchors is None or not isinstance(number, int) or number - self._anchored < _AT_ONCE // 10:
            return
        with self.anchors.open("a") as file:
            file.write(f"{self.shift.clock().isoformat()} {number} {head}\n")
        self._anchored = number
