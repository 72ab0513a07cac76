"""`doctor`: what is well, what is not, and what to do next."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.printing import Json


class Subject(StrEnum):
    """What to look at."""

    INSTANCE = "instance"
    N8N = "n8n"


def doctor(
    subject: Annotated[
        Subject,
        typer.Argument(metavar="instance|n8n", help="This instance, or the n8n that it works with.", show_default=False),
    ] = Subject.INSTANCE,
    *,
    environ: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="The variables that n8n was started with: its /proc/PID/environ, NAME=value lines, or - for standard input.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at everything that this instance, or its n8n, needs. Exits with 1 if something fails."""
    from worker.cli.printing import show_json, show_table

    if subject is Subject.N8N:
        from worker.cli.n8n.health import examine as examine_n8n

        checks = examine_n8n(environ)
    else:
        from worker.cli.health import examine

        checks = examine()
    if as_json:
        show_json([check.shown() for check in checks])
    else:
        show_table(["", "what", "found", "do"], [(c.state, c.name, c.found, c.advice) for c in checks], empty="")
    raise typer.Exit(1 if any(check.state == "fail" for check in checks) else 0)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.command()(doctor)
