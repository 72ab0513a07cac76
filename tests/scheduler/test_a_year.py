"""Four schedulers and a caller, killed and stopped at random through a simulated year: every fire once."""

import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from schedules.schedule import latest_due
from tests.scheduler import watch
from tests.scheduler.chaos import Chaos
from tests.scheduler.oracle import fire_keys, midnight
from tests.support.waiting import until
from worker.ledger import Ledger, schedules
from worker.ledger.tables import AUDIT, BATCHES, NIGHTS, OUTBOX, RUNS
from worker.records import Topic

SCHEDULERS = 4
CLOCK_CHANGES = (date(2026, 3, 29), date(2026, 10, 25))
JUMPS = [timedelta(hours=hours) for hours in (0.5, 2, 7, 24, 40)]
IN_THE_NIGHT = timedelta(minutes=20)
LONGEST_SECONDS = 180
"""For all that is due at one instant; it takes one or two."""


@dataclass(frozen=True)
class Play:
    """A span of days in Berlin, and how it is played."""

    first: date
    last: date
    seed: int = 1
    hourly: str = "0 */8 * * *"
    hours: frozenset[int] = frozenset({0, 8, 16})


def play(url: str, folder: Path, what: Play) -> Chaos:
    """Move the clock from the first midnight to the last, while the schedulers work and die."""
    start, end = midnight(what.first), midnight(what.last + timedelta(days=1)) - timedelta(minutes=1)
    dice = random.Random(what.seed)  # noqa: S311 - chaos, not a secret
    clock = folder / "clock"
    watch.write_clock(clock, start - timedelta(minutes=1))
    with closing(Ledger(url)) as ledger:
        with ledger.transaction() as tx:
            schedules.sync(tx, [one.name for one in watch.timetable(what.hourly)], start - timedelta(minutes=1))
        parts = [(watch.scheduler, (url, folder, what.hourly, f"scheduler-{n}")) for n in range(SCHEDULERS)]
        parts.append((watch.joiner, (url, folder, what.hourly, "joiner")))
        with Chaos(what.seed, parts) as chaos:
            now = start
            while now < end:
                watch.write_clock(clock, now)
                if near_a_clock_change(now) or dice.random() < 0.3:
                    settle(ledger, now, what, chaos, folder)
                now += IN_THE_NIGHT if near_a_clock_change(now) else dice.choice(JUMPS)
                now = not_past_a_clock_change(now, watch.read_clock(clock))
            watch.write_clock(clock, end)
            settle(ledger, end, what, chaos, folder)
    return chaos


def near_a_clock_change(now: datetime) -> bool:
    return any(midnight(day) - timedelta(hours=2) <= now < midnight(day) + timedelta(hours=6) for day in CLOCK_CHANGES)


def not_past_a_clock_change(now: datetime, before: datetime) -> datetime:
    """No jump leads past the night in which every minute counts."""
    eves = (midnight(day) - timedelta(hours=2) for day in CLOCK_CHANGES)
    return next((eve for eve in eves if before < eve < now), now)


def settle(ledger: Ledger, now: datetime, what: Play, chaos: Chaos, folder: Path) -> None:
    """Wait until everything due was dealt with; meanwhile the workers end what was queued."""
    known = {one.name: one for one in watch.timetable(what.hourly) if one.trigger == "scheduler"}

    def behind() -> dict[str, datetime]:
        with ledger.read() as connection:
            rows = [row for row in schedules.listing(connection) if row.name in known]
        return {row.name: row.cursor_at for row in rows if latest_due(known[row.name], row.cursor_at, now, limit=1)}

    def dealt_with() -> bool:
        end_all_batches(ledger)
        return not behind()

    def more() -> str:
        logs = {log.name: log.read_text()[-2000:] for log in sorted(folder.glob("*.log"))}
        return f"behind: {behind()}; {chaos.kills} kills, {chaos.stops} stops, {chaos.deaths} deaths: {logs}"

    until(f"all that is due at {now} is dealt with", dealt_with, LONGEST_SECONDS, more=more)


def end_all_batches(ledger: Ledger) -> None:
    with ledger.read() as connection:
        if connection.execute(select(BATCHES.c.id).where(BATCHES.c.ended_at.is_(None)).limit(1)).first() is None:
            return
    with ledger.transaction() as tx:
        tx.execute(text("UPDATE runs SET state = 'succeeded', ended_at = created_at WHERE state = 'queued'"))
        tx.execute(text("UPDATE batches SET remaining = 0, ended_at = created_at WHERE ended_at IS NULL"))
        tx.execute(text("DELETE FROM outbox WHERE topic = 'bell'"))


def check(url: str, what: Play) -> None:
    """Every fire of the span under its key once, each with runs and one audit row; each morning told once."""
    expected = fire_keys(what.first, what.last, what.hours)
    with closing(Ledger(url)) as ledger, ledger.read() as connection:
        made = connection.execute(select(BATCHES.c.schedule, BATCHES.c.fire_key, BATCHES.c.trigger)).all()
        found = Counter((row.schedule, row.fire_key) for row in made)
        by_n8n = {key for (schedule, key) in found if schedule == watch.BY_N8N}
        oracle = {(name, key) for name, keys in expected.items() for key in keys if name != watch.BY_N8N or key in by_n8n}
        assert set(found) == oracle
        assert set(found.values()) == {1}
        assert {row.trigger for row in made if row.schedule == watch.JOINED} == {"schedule", "n8n"}
        of_batches = select(BATCHES.c.id, BATCHES.c.total, func.count(RUNS.c.id)).join(RUNS, isouter=True).group_by(BATCHES.c.id)
        assert {(total, runs) for _, total, runs in connection.execute(of_batches)} == {(1, 1)}
        verbs = (AUDIT.c.verb.in_(["batch.queued", "run.skipped"]),)
        assert connection.execute(select(func.count()).select_from(AUDIT).where(*verbs)).scalar_one() == len(made)
        nights = set(connection.execute(select(NIGHTS.c.fire_key)).scalars())
        messages = connection.execute(select(OUTBOX).where(OUTBOX.c.topic == Topic.MESSAGE))
        told = [row.subject for row in messages if row.payload["kind"] == "digest"]
        assert len(told) == len(nights)
        assert set(told) == nights


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_year_with_both_clock_changes_fires_everything_once(ledger_url: str, tmp_path: Path) -> None:
    """On PostgreSQL the month around the autumn night."""
    first = date(2026, 1, 1) if ledger_url.startswith("sqlite") else date(2026, 10, 5)
    last = date(2026, 12, 31) if ledger_url.startswith("sqlite") else date(2026, 11, 5)
    what = Play(first, last)
    chaos = play(ledger_url, tmp_path, what)
    check(ledger_url, what)
    assert chaos.kills > 1
    assert chaos.stops > 1


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_five_years_each_with_a_fire_every_hour_fire_everything_once(ledger_url: str, tmp_path: Path, seed: int) -> None:
    what = Play(date(2026, 1, 1), date(2026, 12, 31), seed, "0 * * * *", frozenset(range(24)))
    play(ledger_url, tmp_path, what)
    check(ledger_url, what)
