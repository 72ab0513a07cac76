"""`people …`: who there is, what they may decide, and their PINs."""

from typing import Annotated

import typer

from worker.cli.printing import Json

people = typer.Typer(help="People of the configuration, and their PINs.")


@people.callback(invoke_without_command=True)
def listed(context: typer.Context, *, as_json: Json = False) -> None:
    """The people of the configuration in force."""
    if context.invoked_subcommand is None:
        list_people(as_json=as_json)


@people.command("list")
def list_people(*, as_json: Json = False) -> None:
    """The people of the configuration in force: where they may decide, and who has no PIN."""
    from worker.cli.pinning import list_people

    list_people(as_json=as_json)


@people.command("pin")
def pin(
    name: Annotated[str, typer.Argument(help="Whose PIN it is.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="Put it into people.toml, whose comments stay.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read it from standard input, once, without asking.")] = False,
) -> None:
    """Ask for a PIN twice, and print its `pin_hash` for people.toml. The PIN itself is kept nowhere."""
    from worker.cli.pinning import pin

    pin(name, write=write, stdin=stdin)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(people, name="people")
