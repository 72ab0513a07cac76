"""`config …`, `settings`, `migrate`."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.printing import Json

Folder = Annotated[Path | None, typer.Option(help="Where the files are; the home if left out.", show_default=False)]
Note = Annotated[str, typer.Option(help="Why; kept with the revision.")]

config = typer.Typer(help="The configuration: files to one validated revision in the ledger.", no_args_is_help=True)


@config.command()
def check(*, folder: Folder = None, as_json: Json = False) -> None:
    """Read the files and say what is wrong with them. Changes nothing."""
    from worker.cli.revising import check

    check(folder, as_json=as_json)


@config.command()
def diff(*, folder: Folder = None, as_json: Json = False) -> None:
    """What `apply` would change."""
    from worker.cli.revising import diff

    diff(folder, as_json=as_json)


@config.command()
def apply(*, folder: Folder = None, note: Note = "") -> None:
    """Put the files in force. An invalid file never replaces what is in force."""
    from worker.cli.revising import apply

    apply(folder, note)


@config.command()
def rollback(revision: Annotated[int, typer.Argument(help="Number of an earlier revision.")]) -> None:
    """Put an earlier revision in force again. The files stay as they are."""
    from worker.cli.revising import rollback

    rollback(revision)


@config.command()
def show(
    revision: Annotated[int | None, typer.Argument(help="Its number; the one in force if left out.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """A revision, and those before it."""
    from worker.cli.revising import show

    show(revision, as_json=as_json)


def settings(*, as_json: Json = False) -> None:
    """Every setting, its value, and where that came from."""
    from dataclasses import asdict

    from worker.cli.opening import loaded
    from worker.cli.printing import show_json, show_table
    from worker.settings import settings_table

    rows = settings_table(loaded())
    if as_json:
        show_json([asdict(row) for row in rows])
        return
    show_table(["setting", "value", "from", "variable"], [(r.name, r.value, r.source, r.variable) for r in rows], empty="")


def migrate() -> None:
    """Bring the ledger to the schema of this version."""
    from worker.cli.opening import loaded
    from worker.cli.printing import say
    from worker.ledger import Ledger
    from worker.ledger.schema import migrate

    found = loaded().settings
    found.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ledger = Ledger(found.ledger_url)
    ledger.ping()
    before, after = migrate(ledger)
    say(f"{ledger.url.render_as_string()}: schema {after}" + (", as before" if before == after else f", was {before or 'empty'}"))


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(config, name="config")
    for command in (settings, migrate):
        app.command()(command)
