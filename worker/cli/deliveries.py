"""`deliveries`, `resend`: what was said to whom, and results that never arrived."""

from typing import Annotated

import typer

from worker.cli.printing import Json


def deliveries(
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that never arrived.")] = False,
    kind: Annotated[str | None, typer.Option(help="callback, event, or the kind of a message.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Results, events and messages, newest first, with what became of each."""
    from worker.cli.opening import shift
    from worker.cli.printing import show_json, show_table
    from worker.flow.shown import shown
    from worker.ledger import telling
    from worker.records import DeliveryState

    state = DeliveryState.FAILED if failed else None
    with shift().ledger.read() as connection:
        rows = telling.deliveries(connection, state=state, kind=kind, limit=limit)
    if as_json:
        show_json([shown(row) for row in rows])
        return
    told = [(row.id, row.created_at, row.kind, row.channel, row.state, row.attempts, row.detail) for row in rows]
    show_table(["id", "at", "kind", "to", "state", "tries", "detail"], told, empty="None.")


def resend(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `deliveries --failed` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Send a result once more that did not reach whoever asked."""
    from worker.cli.opening import actor, shift
    from worker.cli.printing import say, show_json
    from worker.flow import undelivered
    from worker.flow.shown import shown

    row = undelivered.resend(shift(), delivery, actor())
    if as_json:
        show_json(shown(row))
    else:
        say(f"the result of batch {row.subject} is sent again; `nightshift deliveries` shows what becomes of it")


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.command()(deliveries)
    app.command()(resend)
