"""The command line. It speaks to the ledger that it is configured for; what a command needs is imported when it is called."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from worker.cli import (
    access,
    approvals,
    brakes,
    configuration,
    diagnosis,
    digest,
    findings,
    people,
    policy,
    processes,
    records,
    runs,
    schedules,
)
from worker.cli.refusals import told

app = typer.Typer(
    name="nightshift",
    help="The night shift of an infrastructure team: checks run every night, repairs run only as approved.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def common(
    home: Annotated[
        Path | None, typer.Option(help="Folder of this instance; as NIGHTSHIFT_HOME.", show_default=False, file_okay=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The settings file; as NIGHTSHIFT_CONFIG.", show_default=False, dir_okay=False)
    ] = None,
) -> None:
    """Told by the environment, so that the processes that we start are told as well."""
    for variable, path in (("NIGHTSHIFT_HOME", home), ("NIGHTSHIFT_CONFIG", config)):
        if path is not None:
            os.environ[variable] = str(path.absolute())


for family in (
    processes,
    runs,
    findings,
    approvals,
    schedules,
    digest,
    brakes,
    configuration,
    policy,
    people,
    access,
    records,
    diagnosis,
):
    family.register(app)


def main() -> None:
    """The console script."""
    try:
        app()
    except Exception as error:
        refusal = told(error)
        if refusal is None:
            raise
        message, code = refusal
        sys.stderr.write(f"nightshift: {message}\n")
        sys.exit(code)
