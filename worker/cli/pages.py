"""The pages of the documentation that are made from the code: `python -m worker.cli.pages` writes them."""

from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from worker.flow.runbooks import RUNBOOKS
from worker.settings import load_settings, settings_table

DOCS = Path(__file__).parents[2] / "docs"
_MADE = "<!-- Made by `python -m worker.cli.pages`; a test compares it with the code. -->\n\n"


def cli_page() -> str:
    """docs/cli.md."""
    from worker.cli import app

    command = get_command(app)
    context = typer.Context(command, info_name="nightshift", **command.context_settings)
    text: str = get_docs_for_click(obj=command, ctx=context, name="nightshift", title="The command line")
    codes = (
        "Exit codes: 0 done; 1 refused or failed; 2 wrongly called, or what it needs is not there; "
        "3 `run --fail-on` was met.\n\nEvery read takes `--json`.\n\n"
    )
    head, _, rest = text.partition("\n\n")
    return f"{head}\n\n{_MADE}{codes}{rest.strip()}\n"


def settings_page() -> str:
    """docs/settings.md."""
    rows = [
        f"| `{row.name}` | `{row.variable}` | {f'`{row.default}`' if row.default else ''} | {row.description} |"
        for row in settings_table(load_settings({"TZ": "UTC", "NIGHTSHIFT_HOME": "/nowhere"}))
    ]
    head = (
        "# Settings\n\n"
        + _MADE
        + "Each is a variable, or a key of `nightshift.toml` in the home (`--config` or `NIGHTSHIFT_CONFIG` "
        "names another file). The variable wins. `nightshift settings` prints each value and where it came from.\n\n"
        "| key | variable | default | what |\n| --- | --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def runbooks_page() -> str:
    """docs/runbooks.md."""
    sections = [
        f"## {book.code}\n\n{book.means}\n\n- **Look at:** {book.look}\n- **Then:** {book.do}\n" for book in RUNBOOKS.values()
    ]
    head = (
        "# Runbooks\n\n"
        + _MADE
        + "One section per reason code of a repair, and of drift: what it means, where to look, what to do. The console has the "
        "same under `/runbooks`, and every message links to its section. `RUN` is the run's id.\n\n"
    )
    return head + "\n".join(sections)


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "runbooks.md": runbooks_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
