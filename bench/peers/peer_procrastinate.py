"""procrastinate: the queue whose jobs are rows of the same PostgreSQL."""

import os

import procrastinate

from bench.notes import note

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ.get("BENCH_CONNINFO", "")))


@app.task(name="noop", queue="noop")  # type: ignore[untyped-decorator]
async def noop(key: str) -> None:
    """Nothing, the way its users write tasks."""
    note(key)
