"""`brakes`, `freeze`, `thaw`, `kill`."""

from typing import Annotated

import typer

from worker.cli.printing import Json

Reason = Annotated[str, typer.Option(help="Why; kept in the audit.")]


def brakes(*, as_json: Json = False) -> None:
    """Whether approved changes may begin: who froze or killed and why, and the freeze windows that hold."""
    from worker.cli.opening import shift
    from worker.cli.printing import say, show_json
    from worker.ledger import revisions

    opened = shift()
    with opened.ledger.read() as connection:
        state = revisions.state(connection)
    held = [window for window in opened.estate().policy.freezes if window.holds(opened.clock())]
    if as_json:
        windows = [{"name": window.name, "environments": list(window.environments)} for window in held]
        pulled = {"frozen": state.frozen_by is not None, "killed": state.killed}
        show_json(pulled | {"by": state.frozen_by, "reason": state.frozen_reason, "windows": windows})
        return
    if state.frozen_by is None:
        say("neither frozen nor killed")
    else:
        pulled_by = f"{'killed' if state.killed else 'frozen'} by {state.frozen_by}: {state.frozen_reason}"
        say(f"{pulled_by}; `nightshift thaw --reason …` lifts it")
    for window in held:
        say(f"freeze {window.name} of policy.toml holds for {', '.join(window.environments)}")


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
    for command in (brakes, freeze, thaw, kill):
        app.command()(command)
