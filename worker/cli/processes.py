"""`up`, `demo`, and the processes that a team runs singly."""

from pathlib import Path
from typing import Annotated

import typer

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the gateway; 0 takes a free one.")]


def up(
    *,
    port: Port = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write {url, pid, ledger, broker, token_file} there once everything is ready.", dir_okay=False),
    ] = None,
    flower: Annotated[bool, typer.Option("--flower", help="Also Flower, on a free port of 127.0.0.1.")] = False,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Whether runs are carried out here.")] = True,
) -> None:
    """The whole instance, in the foreground: Ctrl-C (or SIGTERM) drains it, a second one ends it at once."""
    from worker.cli.up import Wishes, run_up

    raise typer.Exit(run_up(Wishes(port=port, ready_file=ready_file, flower=flower, worker=worker)))


def demo(
    *,
    scripted: Annotated[bool, typer.Option("--scripted", help="Print the report, check it, and end.")] = False,
    host: Annotated[list[str] | None, typer.Option(metavar="HOST:PORT", help="A host of your own to look at as well.")] = None,
    home: Annotated[
        Path | None, typer.Option(help="Keep everything there, instead of a folder that goes with the demo.", file_okay=False)
    ] = None,
) -> None:
    """A night on throw-away servers: findings, a digest, every run in Flower."""
    from worker.demo.night import run_demo

    raise typer.Exit(run_demo(scripted=scripted, hosts=host or [], home=home))


def gateway(*, port: Port = None) -> None:
    """The API and the console alone."""
    from worker.cli.singly import gateway

    raise typer.Exit(gateway(port))


def worker(
    *,
    queues: Annotated[str, typer.Option("--queues", "-Q", help="checks, effects or both, with a comma.")] = "checks,effects",
    concurrency: Annotated[int | None, typer.Option(min=1, max=512, help="Runs at the same time.")] = None,
) -> None:
    """A Celery worker alone; `celery -A worker.wiring worker` is the same."""
    from worker.cli.singly import worker

    worker(queues, concurrency)


def scheduler() -> None:
    """The scheduler alone; any number may run."""
    from worker.cli.singly import loops

    raise typer.Exit(loops("scheduler"))


def relay() -> None:
    """The relay and the sweeper; any number may run."""
    from worker.cli.singly import loops

    raise typer.Exit(loops("relay"))


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    for command in (up, demo, gateway, worker, scheduler, relay):
        app.command()(command)
