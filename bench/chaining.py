"""What the audit chain costs: eight writers carry out runs on PostgreSQL, with and without the chainer beside them."""

import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.pool import Pool
from pathlib import Path

from bench.notes import VARIABLE
from bench.programs import Program
from bench.systems import ME, instance
from bench.table import Row, middle, spread
from tests.servers import PostgresServer
from worker import wiring
from worker.flow import Order, Request, enqueue, execute_run
from worker.records import Trigger
from worker.settings import load_settings

WRITERS = 8
_houses: list[wiring.House] = []


def open_house(environ: dict[str, str]) -> None:
    """The house of this process; without a broker nobody is rung."""
    os.environ[VARIABLE] = os.devnull
    _houses.append(wiring.House(load_settings(environ).settings))


def write(run_ids: list[str]) -> None:
    """Carry them out, one after the other."""
    for run_id in run_ids:
        assert execute_run(_houses[0].shift, run_id, "noop", "bench") is not None


def chain(environ: dict[str, str]) -> None:
    """The chainer alone, as the relay turns it."""
    open_house(environ)
    lookout, chainer = (loop for loop in _houses[0].relay_loops() if loop.name in {"lookout", "chainer"})
    lookout.start(threading.Event())
    chainer.run(threading.Event())


def measured(pool: Pool, number: int) -> float:
    """Runs a second of all writers; each has a batch of its own."""
    shares = [
        [run.id for run in enqueue(_houses[0].shift, Request(orders=orders, trigger=Trigger.CLI, actor=ME)).runs]
        for orders in [[Order(job="noop")] * (number // WRITERS)] * WRITERS
    ]
    start = time.perf_counter()
    pool.map(write, shares, chunksize=1)
    return number / (time.perf_counter() - start)


def compare(folder: Path, postgres: PostgresServer, number: int, rounds: int) -> list[Row]:
    """One row."""
    environ = instance(folder / "chaining", postgres.database_url(postgres.create_database()))
    open_house(environ)
    argv = [sys.executable, "-c", f"from bench.chaining import chain; chain({environ!r})"]
    found: dict[bool, list[float]] = {False: [], True: []}
    writers = multiprocessing.get_context("spawn").Pool(WRITERS, open_house, (environ,))
    with writers as pool, Program(argv, {}, folder / "chainer.log") as chainer:
        measured(pool, WRITERS * 20)
        time.sleep(2)
        for _ in range(rounds):
            found[True].append(measured(pool, number))
            chainer.pause()
            found[False].append(measured(pool, number))
            chainer.resume()
            time.sleep(2)
    cost = 100 * (1 - middle(found[True]) / middle(found[False]))
    ours, beside = f"{spread(found[True])}/s", f"unchained {spread(found[False])}/s"
    return [Row(what="chaining costs 8 writers, %", ours=ours, beside=beside, value=cost, goal="<= 15")]
