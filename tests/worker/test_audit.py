"""The chain names what was edited, dropped, inserted, reordered or cut off; and chaining itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from tasks.model import Ok
from tests.support.shift import Rig, open_rig, scripted, sites
from worker.audit import Anchor, Trouble, Verifier
from worker.ledger import Ledger, audit_rows
from worker.ledger.tables import AUDIT
from worker.records import AuditEntry, ChainedEntry
from worker.relay import Chainer
from worker.relay.chainer import PURPOSE


@pytest.fixture
def rig(ledger_url: str, tmp_path: Path) -> Iterator[Rig]:
    job = scripted(lambda _, entry: [Ok(entry=entry.name, subject=entry.name)])
    with open_rig(ledger_url, tmp_path, job, tables={"sites": sites("a")}) as opened:
        yield opened


def append(rig: Rig, number: int) -> None:
    facts: dict[str, object] = {"number": number, "ratio": 0.1, "words": "äöü\N{SNOWMAN}", "nested": {"b": [1, None], "a": True}}
    with rig.ledger.transaction() as tx:
        for _ in range(number):
            audit_rows.append(
                tx, AuditEntry(at=rig.clock(), actor="ana", verb="run.test", object_kind="run", object_id="r", facts=facts)
            )


def chain(rig: Rig, seat: str = "seat-1") -> None:
    chainer = Chainer(rig.shift, seat)
    while chainer.step():
        pass


@pytest.fixture
def chained(rig: Rig) -> Rig:
    """Ten rows in the chain."""
    append(rig, 10)
    chain(rig)
    return rig


def entries(rig: Rig) -> list[ChainedEntry]:
    with rig.ledger.read() as connection:
        return audit_rows.chained(connection, 0, 10_000)


def troubles(rig: Rig, *anchors: Anchor) -> list[Trouble]:
    verifier = Verifier(mac=lambda content, key_id: rig.shift.keys.mac(PURPOSE, content, key_id), anchors=anchors)
    return [*verifier.feed(entries(rig)), *verifier.finish()]


def named(rig: Rig, *anchors: Anchor) -> list[tuple[str, int | None]]:
    return [(trouble.kind, trouble.number) for trouble in troubles(rig, *anchors)]


def change(rig: Rig, place: int, /, **members: object) -> None:
    with rig.ledger.transaction() as tx:
        tx.execute(update(AUDIT).where(AUDIT.c.number == place).values(members))


def test_a_chain_that_nobody_touched_has_no_trouble(chained: Rig) -> None:
    assert [entry.number for entry in entries(chained)] == list(range(1, 11))
    assert troubles(chained) == []


@pytest.mark.parametrize(
    "edit",
    [{"actor": "bob"}, {"facts": {"number": 11}}, {"object_id": "s"}, {"verb": "run.tested"}, {"object_kind": "batch"}],
)
def test_an_edited_row_is_named_alone(chained: Rig, edit: dict[str, object]) -> None:
    change(chained, 4, **edit)
    assert named(chained) == [("edited", 4)]


def test_a_row_moved_in_time_is_named(chained: Rig) -> None:
    change(chained, 4, at=chained.clock() + timedelta(microseconds=1))
    assert named(chained) == [("edited", 4)]


def test_dropped_rows_are_named_by_their_numbers_and_hide_no_edit_behind_them(chained: Rig) -> None:
    with chained.ledger.transaction() as tx:
        tx.execute(delete(AUDIT).where(AUDIT.c.number.in_([4, 5])))
    change(chained, 6, actor="bob")
    assert [str(trouble) for trouble in troubles(chained)] == [
        "dropped: number 4: numbers 4 to 5 are missing",
        f"edited: row {entries(chained)[3].id}: its content is not what was chained",
    ]


def test_two_rows_that_changed_places_are_named_and_nobody_else(chained: Rig) -> None:
    change(chained, 4, number=99)
    change(chained, 5, number=4)
    change(chained, 99, number=5)
    assert named(chained) == [("reordered", 4), ("reordered", 5)]


def test_an_inserted_row_is_named_even_if_its_hashes_are_right(chained: Rig) -> None:
    append(chained, 1)
    other = Verifier(mac=lambda content, _: ("none", content.hex()[:64]))
    with chained.ledger.read() as connection:
        [fresh] = audit_rows.unchained(connection, 9)
    from worker.audit import links  # noqa: PLC0415

    [forged] = links(entries(chained)[-1], [fresh], other.mac)
    with chained.ledger.transaction() as tx:
        audit_rows.link(tx, [forged])
    assert named(chained) == [("inserted", 11)]


def test_an_end_that_was_cut_off_shows_against_an_anchor_outside(chained: Rig) -> None:
    head = entries(chained)[-1]
    anchor = Anchor(head.number or 0, head.hash or "")
    assert named(chained, anchor) == []
    with chained.ledger.transaction() as tx:
        tx.execute(delete(AUDIT).where(AUDIT.c.number > 7))
    assert named(chained) == [], "without an anchor nothing shows it"
    assert named(chained, anchor) == [("cut", 10)]


def test_a_chain_that_was_written_anew_shows_against_an_anchor_outside(chained: Rig) -> None:
    anchor = Anchor(5, entries(chained)[4].hash or "")
    with chained.ledger.transaction() as tx:
        tx.execute(delete(AUDIT).where(AUDIT.c.number == 2))
        none = dict.fromkeys(("number", "payload_hash", "previous_hash", "hash", "mac", "key_id"))
        tx.execute(update(AUDIT).values(none))
    chain(chained)
    assert named(chained) == []
    assert named(chained, anchor) == [("forged", 5)]


def test_a_chain_made_with_several_keys_is_whole_and_a_key_that_is_gone_vouches_for_nothing(chained: Rig, tmp_path: Path) -> None:
    old = chained.shift.keys.current_id
    chained.shift.keys.rotate()
    append(chained, 2)
    chain(chained)
    assert {entry.key_id for entry in entries(chained)} == {old, chained.shift.keys.current_id}
    assert troubles(chained) == []
    change(chained, 12, key_id="0123456789ab")
    assert named(chained) == [("inserted", 12)]


def test_the_chainer_writes_anchors_that_the_verifier_takes(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "anchors"
    append(rig, 1200)
    chainer = Chainer(rig.shift, "seat-1", file)
    assert chainer.step()
    assert not chainer.step()
    lines = [line.split() for line in file.read_text().splitlines()]
    assert [int(line[1]) for line in lines] == [1000, 1200]
    assert troubles(rig, *(Anchor(int(line[1]), line[2]) for line in lines)) == []


def test_a_reason_with_half_a_letter_does_not_stop_the_chain(rig: Rig) -> None:
    entry = AuditEntry(at=rig.clock(), actor="ana", verb="v", object_kind="run", object_id="r", facts={"reason": "\ud83d"})
    # PostgreSQL takes no such text, and says so in its own way.
    refuses = pytest.raises(DBAPIError) if rig.ledger.dialect == "postgresql" else nullcontext()
    with refuses, rig.ledger.transaction() as tx:
        audit_rows.append(tx, entry)
    append(rig, 1)
    chain(rig)
    assert troubles(rig) == []
    with rig.ledger.read() as connection:
        assert audit_rows.unchained(connection, 9) == []


def test_two_chainers_at_once_while_others_write_leave_one_gapless_chain(rig: Rig, ledger_url: str) -> None:
    def work(number: int) -> None:
        for _ in range(15):
            if number < 4:
                append(rig, 5)
            else:
                chain(rig, f"seat-{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    for seat in ("seat-4", "seat-5"):
        chain(rig, seat)
    assert [entry.number for entry in entries(rig)] == list(range(1, 301))
    assert troubles(rig) == []
    with closing(Ledger(ledger_url)) as ledger, ledger.read() as connection:
        assert connection.execute(select(AUDIT.c.id).where(AUDIT.c.number.is_(None))).all() == []
