"""`findings`: what is wrong now, and what people said about it."""

from enum import StrEnum
from typing import Annotated

import typer

from worker.cli.printing import Json


class Verb(StrEnum):
    """What to do with one finding."""

    ACK = "ack"
    MUTE = "mute"
    UNMUTE = "unmute"


def findings(
    finding_id: Annotated[str | None, typer.Argument(metavar="[FINDING]", help="Its id, or the end that the list shows.")] = None,
    verb: Annotated[Verb | None, typer.Argument(help="What to do with it; without: show it.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit. A mute needs one.")] = "",
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long to mute: 12h, 7d.")] = "7d",
    job: Annotated[str | None, typer.Option(help="Only of this job.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only of this environment.")] = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are gone instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 200,
    as_json: Json = False,
) -> None:
    """Open findings; one of them; or acknowledge, mute and unmute one."""
    from worker.cli import judging

    if finding_id is None:
        judging.list_findings(job, environment, limit, resolved=resolved, as_json=as_json)
    elif verb is None:
        judging.show_finding(finding_id, as_json=as_json)
    else:
        judging.say_about(finding_id, verb, reason, for_, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.command()(findings)
