"""`doctor`: what is well, what is not, and what to do next."""

import typer

from worker.cli.printing import Json


def doctor(*, as_json: Json = False) -> None:
    """Look at everything that this instance needs. Exits with 1 if something fails."""
    from worker.cli.health import examine
    from worker.cli.printing import show_json, show_table

    checks = examine()
    if as_json:
        show_json([check.shown() for check in checks])
    else:
        show_table(["", "what", "found", "do"], [(c.state, c.name, c.found, c.advice) for c in checks], empty="")
    raise typer.Exit(1 if any(check.state == "fail" for check in checks) else 0)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.command()(doctor)
