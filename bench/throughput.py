"""No-ops a second, and the time from the call that enqueues one to its first line: ours beside Celery and procrastinate."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.systems import Bare, Ours, Procrastinate, Recording, System, procrastinate_database
from bench.table import Row, middle, spread
from tests.servers import PostgresServer, RedisServer

EVERY_SECONDS = 0.02


def rates(systems: Sequence[System], number: int, rounds: int) -> dict[str, list[float]]:
    """By name, the rates of all rounds: A B C A B C, so that whatever else the machine does meets all of them."""
    found: dict[str, list[float]] = {system.name: [] for system in systems}
    for _ in range(rounds):
        for system in systems:
            found[system.name].append(system.rate(number))
    return found


def compare(folder: Path, redis: RedisServer, postgres: PostgresServer, number: int, rounds: int) -> list[Row]:
    """The rows on throughput and latency."""
    broker = redis.url.removesuffix("0")
    lite = f"sqlite:///{folder}"
    bare = Bare("bare", folder, f"{broker}1")
    ours = [
        Ours("ours_postgresql", folder, f"{broker}2", postgres.database_url(postgres.create_database())),
        Ours("ours_sqlite", folder, f"{broker}3", f"{lite}/ours.db"),
    ]
    recording = [
        Recording("recording_postgresql", folder, f"{broker}4", postgres.database_url(postgres.create_database())),
        Recording("recording_sqlite", folder, f"{broker}5", f"{lite}/recording.db"),
    ]
    database = procrastinate_database(postgres)
    rivals = [
        Procrastinate(f"procrastinate_{processes}x{several}", folder, postgres, database, processes, several)
        for processes in (1, 2)
        for several in (1, 10)
    ]
    with ExitStack() as stack:
        celery: list[Bare | Ours | Recording] = [bare, *ours, *recording]
        for system in celery:
            system.start(stack)
        best = max(rivals, key=lambda rival: rival.rate(number))
        found = rates([*celery, best], number, rounds)
        waited = latencies([bare, *ours], 10 * rounds, rounds)
    rows = []
    for mine, theirs in zip(ours, recording, strict=True):
        rows += [
            ratio("durable run beside bare Celery that keeps nothing", found, mine.name, bare.name, ">= 0.5"),
            ratio("beside Celery that writes its record", found, mine.name, theirs.name, ">= 1.2"),
        ]
    rows.append(ratio("beside procrastinate", found, ours[0].name, best.name, ">= 1.2"))
    for mine in ours:
        rows += [slower(waited, mine.name, bare.name, 50, "<= 2"), slower(waited, mine.name, bare.name, 99, "<= 1.5")]
    return rows


def ratio(what: str, found: dict[str, list[float]], mine: str, theirs: str, goal: str) -> Row:
    value = middle(found[mine]) / middle(found[theirs])
    ours, beside = f"{mine} {spread(found[mine])}/s", f"{theirs} {spread(found[theirs])}/s"
    return Row(what=what, ours=ours, beside=beside, value=value, goal=goal)


def latencies(systems: Sequence[System], number: int, rounds: int) -> dict[str, list[float]]:
    """By name, all waits of all rounds, in seconds, sorted."""
    found: dict[str, list[float]] = {system.name: [] for system in systems}
    for _ in range(rounds):
        for system in systems:
            found[system.name] += system.latencies(number, EVERY_SECONDS)
    return {name: sorted(waits) for name, waits in found.items()}


def slower(waited: dict[str, list[float]], mine: str, theirs: str, percent: int, goal: str) -> Row:
    ours, other = (waits[min(len(waits) - 1, len(waits) * percent // 100)] for waits in (waited[mine], waited[theirs]))
    shown = [f"{name} {seconds * 1000:.1f} ms" for name, seconds in ((mine, ours), (theirs, other))]
    return Row(what=f"enqueue to start, p{percent}", ours=shown[0], beside=shown[1], value=ours / other, goal=goal)
