"""`python -m bench [--only approvals,throughput,…] [--rounds N] [--json]`: one table; `drift` only when it is named."""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import chaining, drift, effects, instance, pages, throughput, tls_probes
from bench.table import Row, show
from tests.servers import PostgresServer, RedisServer

RUNS, WRITTEN, PROBES = 600, 1600, 4000


def benches(stack: ExitStack, rounds: int) -> dict[str, Callable[[], list[Row]]]:
    """By name; each starts the servers that it needs."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def postgres() -> PostgresServer:
        return stack.enter_context(PostgresServer())

    return {
        "throughput": lambda: throughput.compare(folder, stack.enter_context(RedisServer()), postgres(), RUNS, rounds),
        "instance": lambda: instance.compare(folder),
        "tls": lambda: tls_row(folder),
        "effects": lambda: effects.compare(folder, postgres(), stack.enter_context(RedisServer()), rounds),
        "approvals": lambda: pages.compare(folder, postgres()),
        "drift": lambda: list(drift.compare(folder, drift.STACKS, drift.RESOURCES, rounds=1)),
        "chaining": lambda: chaining.compare(folder, postgres(), WRITTEN, rounds),
    }


def tls_row(folder: Path) -> list[Row]:
    """The whole job's figure; `python -m bench.tls_probes` has the rest."""
    _, job, stdlib, *_ = tls_probes.compare(folder, PROBES, servers=1)
    beside = f"{stdlib.what}: {stdlib.per_core:,.0f}"
    return [Row(what="TLS probes/s/core", ours=f"{job.per_core:,.0f}", beside=beside, value=job.per_core, goal=">= 1000")]


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("--only", default="throughput,instance,tls,chaining,effects,approvals", help="names with a comma")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    rows: list[Row] = []
    for name in chosen.only.split(","):
        with ExitStack() as stack:
            rows += benches(stack, chosen.rounds)[name]()
    show(rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
