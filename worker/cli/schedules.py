"""`schedules`, `pause`, `resume`."""

from typing import Annotated

import typer

from worker.cli.printing import Json

Name = Annotated[str, typer.Argument(metavar="SCHEDULE")]


def schedules(
    *, fires: Annotated[int, typer.Option(min=1, max=100, help="How many next fires to show.")] = 1, as_json: Json = False
) -> None:
    """What fires when, in your time zone."""
    from worker.cli.opening import shift
    from worker.cli.printing import clock, show_json, show_table
    from worker.cli.timetable import timetable

    lines = timetable(shift(), fires)
    if as_json:
        show_json([line.shown() for line in lines])
        return
    rows = [
        (line.name, line.job, line.cron, "\n".join(map(clock, line.fires)) or line.why_not, line.last_fire_at, line.paused)
        for line in lines
    ]
    show_table(["schedule", "job", "cron", "next", "last", "paused"], rows, empty="No schedules: see docs/add-a-schedule.md.")


def pause(name: Name, reason: Annotated[str, typer.Option(help="Why; kept in the audit.")]) -> None:
    """A schedule does not fire until it is resumed."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say
    from worker.flow import verbs

    verbs.pause(shift(), name, actor(), reason)
    say(f"{name} is paused")


def resume(name: Name) -> None:
    """A paused schedule fires again from now on; what it missed stays unfired."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say
    from worker.flow import verbs

    verbs.resume(shift(), name, actor())
    say(f"{name} fires again")


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    for command in (schedules, pause, resume):
        app.command()(command)
