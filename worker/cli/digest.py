"""`digest`: the night so far, or closed and sent before its time."""

from typing import Annotated

import typer

from worker.cli.printing import Json


def digest(
    *,
    now: Annotated[bool, typer.Option("--now", help="Close the night here, and send the digest to its channels.")] = False,
    as_json: Json = False,
) -> None:
    """The night so far, as its digest would tell it. With `--now` it ends here; the morning's digest tells of the rest."""
    from notifications.digest import digest_message
    from notifications.render import text
    from worker.cli.instance import console_url
    from worker.cli.opening import actor, house
    from worker.cli.printing import say, show_json
    from worker.flow.errors import Refused
    from worker.flow.nights import close_night_now, night_so_far
    from worker.flow.shown import shown

    opened = house()
    routing = opened.routing()
    if now:
        closed = close_night_now(opened.shift, routing, console_url(opened.settings), actor())
        if closed is None:
            raise Refused("the night was closed a moment ago: there is nothing new to tell")
        message = closed.message
    else:
        message = digest_message(night_so_far(opened.shift, routing, console_url(opened.settings)))
    if as_json:
        show_json(shown(message))
        return
    say(text(message))
    if now:
        say(f"Sent to: {', '.join(routing.digest.channels) or 'no channel; the console shows it'}")


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.command()(digest)
