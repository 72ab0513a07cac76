"""`policy …`: what the rules allow, tried out before anybody is asked anything."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.printing import Json

Folder = Annotated[Path | None, typer.Option(help="Where the files are; the home if left out.", show_default=False)]

policy = typer.Typer(help="The rules of policy.toml: what may be asked for, and who must agree.", no_args_is_help=True)


@policy.command("show")
def show(*, as_json: Json = False) -> None:
    """The rules and freezes in force, and who may decide under each."""
    from worker.cli.ruling import show

    show(as_json=as_json)


@policy.command("test")
def try_out(
    file: Annotated[Path | None, typer.Argument(help="policy_tests.toml beside policy.toml, if left out.")] = None,
    *,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Hold the policy of the files against golden cases. Exits with 1 if one differs. Changes nothing."""
    from worker.cli.ruling import try_out

    raise typer.Exit(try_out(file, folder, as_json=as_json))


@policy.command("explain")
def explain(
    job: Annotated[str, typer.Argument(help="Name of a job.")],
    *,
    action: Annotated[list[str], typer.Option(help="Action of a step.")],
    target: Annotated[list[str], typer.Option(help="Target of a step.")],
    environment: Annotated[str, typer.Option(help="Where it is.")] = "default",
    reversibility: Annotated[
        str, typer.Option(help="R1 undone in place, R2 made again (a renewal), R3 not reversible: the worst, if left out.")
    ] = "R3",
    steps: Annotated[int | None, typer.Option(min=1, help="How many; as many as actions or targets, if left out.")] = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """What the policy of the files says to one plan: its risk, the rule, who may decide and until when."""
    from worker.cli.ruling import explain

    explain(job, action, target, environment, reversibility, steps, folder, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(policy, name="policy")
