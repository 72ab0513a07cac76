"""The processes of a simulated year: schedulers, and one caller that joins nights as n8n would. They share a ledger and a
clock, which is a file; whoever plays the year moves it, and kills and stops them as it likes."""

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from schedules.schedule import Schedule
from tests.scheduler.stage import BERLIN, CONSOLE, N8N, ROUTING, TABLE, estate_of, nightly, shift_on, touch
from worker.flow.nights import join_night
from worker.flow.shift import Shift
from worker.ledger import Ledger
from worker.loops import Loop
from worker.records import Run
from worker.scheduler import Scheduler

JOINED = "nightly"
BY_N8N = "by-n8n"
PAUSE_SECONDS = 0.02


def timetable(hourly: str) -> tuple[Schedule, ...]:
    """One schedule of each sort. Nothing has a deadline: how late a fire comes depends on the chaos."""
    return (
        nightly(JOINED, catch_up="all"),
        nightly("jittered", cron="15 1 * * *", jitter=timedelta(minutes=45)),
        nightly("weekdays", cron="0 3 * * 1-5", catch_up="skip", overlap="queue"),
        nightly("weekly", cron="45 2 * * 0", overlap="replace"),
        nightly("monthly", cron="5 0 1 * *", catch_up="all", overlap="queue"),
        nightly("half-hours", cron="*/30 2 * * *", catch_up="all", overlap="replace"),
        nightly("hourly", cron=hourly, catch_up="all"),
        nightly(BY_N8N, cron="0 4 * * *", trigger="n8n", start_deadline=timedelta(hours=1)),
    )


def read_clock(file: Path) -> datetime:
    return datetime.fromisoformat(file.read_text())


def write_clock(file: Path, now: datetime) -> None:
    draft = file.with_suffix(".next")
    draft.write_text(now.isoformat())
    draft.replace(file)


def scheduler(url: str, folder: Path, hourly: str, seat: str) -> None:
    """Works until it is killed."""
    shift = _shift(url, folder, hourly, seat)
    step = Scheduler(shift, lambda: ROUTING, lambda: CONSOLE, seat).step
    Loop(seat, PAUSE_SECONDS, step).run(threading.Event())


def joiner(url: str, folder: Path, hourly: str, seat: str) -> None:
    """Rings again and again while it is between 01:00 and 06:00, before and after the due times."""
    shift = _shift(url, folder, hourly, seat)

    def step() -> bool:
        now = shift.clock()
        at_once = replace(shift, clock=lambda: now)  # a clock that moved on meanwhile would mean the next night
        if 1 <= now.astimezone(BERLIN).hour < 6:
            join_night(at_once, JOINED, N8N)
            join_night(at_once, BY_N8N, N8N)
        return False

    Loop(seat, PAUSE_SECONDS, step).run(threading.Event())


def _shift(url: str, folder: Path, hourly: str, seat: str) -> Shift:
    log = os.open(folder / f"{seat}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    estate = estate_of(timetable(hourly), TABLE)
    return shift_on(
        Ledger(url), folder, lambda: read_clock(folder / "clock"), lambda _=None, /: estate, _ring_nobody, {"touch": touch}
    )


def _ring_nobody(made: Sequence[Run]) -> None:
    """The workers of a simulated year are an UPDATE."""
