"""`freeze`, `thaw`, `kill`."""

from typing import Annotated

import typer

Reason = Annotated[str, typer.Option(help="Why; kept in the audit.")]


def freeze(reason: Reason) -> None:
    """No change to the outside world starts until `thaw`. Checks go on."""
    _brake("freeze", reason, "frozen: no effect step starts until `nightshift thaw`")


def thaw(reason: Reason) -> None:
    """Lift freeze and kill."""
    _brake("thaw", reason, "thawed: approved changes are carried out again")


def kill(reason: Reason) -> None:
    """Freeze, and every running change stops before its next step."""
    _brake("kill", reason, "killed: running effects stop before their next step; `nightshift thaw` lifts it")


def _brake(verb: str, reason: str, told: str) -> None:
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say
    from worker.flow import verbs

    {"freeze": verbs.freeze, "thaw": verbs.thaw, "kill": verbs.kill}[verb](shift(), actor(), reason)
    say(told)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    for command in (freeze, thaw, kill):
        app.command()(command)
