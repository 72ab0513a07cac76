"""What a repair costs: a step's own overhead on PostgreSQL, and how soon after the last yes the first step starts."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from sqlalchemy import insert, update

from bench.programs import celery_worker, wait_until
from bench.systems import ME
from bench.table import Row, middle, spread
from tests.approvals.ward import PIN, Ward, open_ward, pin_hash
from tests.servers import PostgresServer, RedisServer
from tests.support.mending import file_of
from worker import wiring
from worker.configuration import apply, check
from worker.flow import Order, Request, enqueue
from worker.flow.deciding import Statement, decide
from worker.ledger import Ledger, approvals
from worker.ledger.rows import new_id
from worker.ledger.schema import migrate
from worker.ledger.tables import RUN_LINES, RUNS
from worker.records import ApprovalState, Choice, Run, Trigger, Via
from worker.settings import load_settings

STEPS, DOORS = 20, 40
_MS = 1000.0


def compare(folder: Path, postgres: PostgresServer, redis: RedisServer, rounds: int) -> list[Row]:
    """Two rows."""
    return [_overhead(folder, postgres, rounds), _start(folder, postgres, redis)]


def _overhead(folder: Path, postgres: PostgresServer, rounds: int) -> Row:
    """A run of many steps less a run of one; the step itself appends a line to a file. Beside it: two bare commits."""
    ours, bare = [], []
    for number in range(rounds):
        home = folder / f"overhead-{number}"
        home.mkdir()
        url = postgres.database_url(postgres.create_database())
        with open_ward(url, home) as ward:
            ours.append((_carried_out(ward, STEPS, 1) - _carried_out(ward, 1, 2)) / (STEPS - 1) * _MS)
            bare.append(_two_commits(ward.rig.ledger, ward.effect_runs()[0]) * _MS)
    beside = f"SQLAlchemy, two commits of one row: {middle(bare):.1f} ms"
    return Row(
        what="an effect step's own overhead, ms", ours=f"{spread(ours)} ms", beside=beside, value=middle(ours), goal="<= 15"
    )


def _carried_out(ward: Ward, steps: int, wanted: int) -> float:
    """Seconds of a repair of so many slots."""
    ward.entry(slots=tuple(f"s{number}" for number in range(steps)), wanted=wanted)
    ward.change(policy=ward.rig.estate[-1].policy.model_copy(update={"rules": (_rule(ward),)}))
    ward.say(ward.ask())
    began = time.perf_counter()
    outcome = ward.carry_out()
    assert outcome is not None
    assert outcome.verdict == "verified", outcome
    return time.perf_counter() - began


def _rule(ward: Ward) -> object:
    return ward.rig.estate[-1].policy.rules[0].model_copy(update={"max_steps": STEPS})


def _two_commits(ledger: Ledger, run: Run) -> float:
    began = time.perf_counter()
    for number in range(50):
        with ledger.transaction() as tx:
            line = {"run_id": run.id, "fence": 99, "number": number, "level": "info", "event": "x", "facts": {}}
            tx.execute(insert(RUN_LINES).values(at=datetime.now(UTC), **line))
        with ledger.transaction() as tx:
            tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(summary=str(number)))
    return (time.perf_counter() - began) / 50


def _start(folder: Path, postgres: PostgresServer, redis: RedisServer) -> Row:
    """From handing in the yes (PIN and all) to the first line of the step, one request after the other, worker warm."""
    with _instance(folder / "start", postgres, redis) as house:
        request = Request(orders=[Order(job="slots")], trigger=Trigger.CLI, actor=ME)
        enqueue(house.shift, request)
        wait_until(lambda: len(_pending(house)) == DOORS, f"{DOORS} requests are asked")
        seconds = [_yes(house, folder / "start", request_id) for request_id in _pending(house)]
    p95 = quantiles(seconds, n=20)[-1]
    ours = f"{middle(seconds) * _MS:.0f} ms p50, {p95 * _MS:.0f} ms p95"
    return Row(what="from the yes to the first step, s p95", ours=ours, value=p95, goal="<= 1")


def _yes(house: wiring.House, home: Path, approval_id: str) -> float:
    with house.ledger.read() as connection:
        asked = approvals.get(connection, approval_id)
    assert asked is not None
    said = {"choice": Choice.APPROVE, "digest": asked.digest, "pin": PIN, "reason": "bench", "via": Via.PAGE}
    began = time.time()
    decide(house.shift, Statement(approval_id=approval_id, person="bo", **said))  # type: ignore[arg-type]
    slot = file_of(str(home / asked.entry), "a")
    wait_until(slot.exists, "the step was done")
    return slot.stat().st_mtime - began


def _pending(house: wiring.House) -> Sequence[str]:
    with house.ledger.read() as connection:
        return [one.id for one in approvals.listing(connection, states=(ApprovalState.PENDING,), limit=1000)]


@contextmanager
def _instance(home: Path, postgres: PostgresServer, redis: RedisServer) -> Iterator[wiring.House]:
    home.mkdir()
    _write_files(home)
    environ = {
        "NIGHTSHIFT_HOME": str(home),
        "NIGHTSHIFT_LEDGER_URL": postgres.database_url(postgres.create_database()),
        "NIGHTSHIFT_BROKER_URL": redis.url,
        "NIGHTSHIFT_JOBS": "tests.support.mending:SLOTS",
    }
    house = wiring.House(load_settings(environ).settings)
    migrate(house.ledger)
    _ = house.keys.current_id
    found = check(house.settings.home, house.jobs, house.zone)
    apply(house.ledger, found, actor=ME, note=new_id(), at=datetime.now(UTC))
    with ExitStack() as stack:
        stack.enter_context(celery_worker("worker.wiring", environ, home / "worker.log", "-Q", "checks,effects"))
        yield house


def _write_files(home: Path) -> None:
    doors = [f"d{number}" for number in range(DOORS)]
    for name in doors:
        (home / name).mkdir()
    entries = [f'[[slots]]\nname = "{name}"\nfolder = "{home / name}"\nenvironment = "prod"\n' for name in doors]
    (home / "estate.toml").write_text('[environments.prod]\nmode = "execute"\n' + "\n".join(entries))
    people = f'[[person]]\nname = "bo"\nroles = {{ prod = ["operator"] }}\npin_hash = "{pin_hash()}"\n'
    (home / "people.toml").write_text(people)
    rule = '[[rule]]\nname = "slots"\njobs = ["slots"]\nactions = ["write"]\nenvironments = ["prod"]\n'
    (home / "policy.toml").write_text(rule)
