"""`run`, `runs`, `resolve`, `undo`, `cancel`."""

from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.printing import Json

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the end of it that the list shows.")]
Reason = Annotated[str, typer.Option(help="Kept in the audit.")]


class FailOn(StrEnum):
    """What makes a waited run exit with 3."""

    FINDING = "finding"
    CANNOT_TELL = "cannot_tell"


def jobs(*, as_json: Json = False) -> None:
    """What can be run, and the parameters it takes."""
    from worker.cli.catalogue import list_jobs

    list_jobs(as_json=as_json)


def run(
    job: Annotated[str, typer.Argument(help="Its name; `nightshift jobs` lists them.")],
    *,
    entries: Annotated[str, typer.Option(help="Names of the estate, with commas; all of the job's if left out.")] = "",
    param: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter of the job.")] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="Something outside the estate; JSON for other jobs.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Stay until it ended, and show what it found.")] = True,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 3 if it found this (or worse).")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key never makes a second run.")] = None,
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: Json = False,
) -> None:
    """Run a job now."""
    from worker.cli.work import ask, order, report, wait_for

    asked = ask(order(job, entries, param or [], target or []), key=key, note=note)
    ended = wait_for(asked, quiet=as_json) if wait else asked
    raise typer.Exit(report(ended, waited=wait, fail_on=fail_on, as_json=as_json))


def runs(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run, with its lines and history.")] = None,
    *,
    job: Annotated[str | None, typer.Option(help="Only of this job.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only of this batch.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """The newest runs, or one of them."""
    from worker.cli.work import list_runs, show_run

    if run_id:
        show_run(run_id, as_json=as_json)
    else:
        list_runs(job, state, batch, limit, as_json=as_json)


def resolve(
    run_id: RunId,
    reason: Reason,
    *,
    applied: Annotated[bool, typer.Option("--applied", help="It did happen.")] = False,
    not_applied: Annotated[bool, typer.Option("--not-applied", help="It did not happen, and shall not.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="It did not happen: do it again.")] = False,
    process_ended: Annotated[
        bool, typer.Option("--process-ended", help="You made sure that its process, on a host that cannot be asked, has ended.")
    ] = False,
) -> None:
    """The way out of `needs_attention`: say what became of it, once you have looked. `nightshift runs RUN` says what at."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say
    from worker.cli.work import run_named
    from worker.flow import verbs

    chosen = [name for name, given in (("applied", applied), ("not_applied", not_applied), ("retry", retry)) if given]
    if len(chosen) != 1:
        raise typer.BadParameter("give exactly one of --applied, --not-applied and --retry")
    opened = shift()
    found = verbs.resolve(opened, run_named(opened, run_id).id, actor(), chosen[0], reason, process_ended=process_ended)
    say(f"run {found.id} is now {found.state}")


def undo(run_id: RunId, reason: Reason, *, as_json: Json = False) -> None:
    """Ask people to take back what a run changed: a plan of reverse steps, with a yes of its own."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say, show_json
    from worker.cli.work import run_named
    from worker.flow.shown import shown
    from worker.flow.undoing import undo

    opened = shift()
    asked = undo(opened, run_named(opened, run_id).id, actor(), reason)
    if as_json:
        show_json(shown(asked))
    else:
        say(f"asked as {asked.id}: {asked.title}; nothing is done without a yes: `nightshift approve {asked.id}`")


def cancel(
    run_id: RunId,
    *,
    batch: Annotated[bool, typer.Option("--batch", help="The id is a batch's: cancel all of it.")] = False,
    reason: Reason = "",
) -> None:
    """Cancel a run, queued or running."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say
    from worker.cli.work import run_named
    from worker.flow import verbs

    opened = shift()
    if batch:
        say(f"{verbs.cancel_batch(opened, run_id, actor(), reason)} runs cancelled, or asked to stop")
        return
    found = verbs.cancel(opened, run_named(opened, run_id).id, actor(), reason)
    say(f"run {found.id} is {found.state}" + ("" if found.state.terminal else ": it stops at its next boundary"))


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    for command in (jobs, run, runs, resolve, undo, cancel):
        app.command()(command)
