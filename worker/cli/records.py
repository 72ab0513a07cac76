"""`audit …`: who did what, and whether somebody changed it since."""

from typing import Annotated

import typer

from worker.cli.printing import Json

audit = typer.Typer(help="Who did what; `verify` tells whether somebody changed it since.")


@audit.callback(invoke_without_command=True)
def entries(context: typer.Context) -> None:
    """The newest entries."""
    if context.invoked_subcommand is None:
        list_entries()


@audit.command("list")
def list_entries(
    *,
    of: Annotated[str | None, typer.Option(help="Only about this run, request or finding: its id, or the end of it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """The newest entries."""
    from worker.cli.auditing import list_entries

    list_entries(of, limit, as_json=as_json)


@audit.command()
def verify(*, as_json: Json = False) -> None:
    """Walk the whole chain and name every row that was edited, dropped, inserted or reordered."""
    from worker.cli.auditing import verify

    raise typer.Exit(verify(as_json=as_json))


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(audit, name="audit")
