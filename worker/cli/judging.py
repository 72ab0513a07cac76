"""Showing findings, and acting on one."""

from schedules.durations import parse_duration
from worker.cli.opening import actor, shift
from worker.cli.printing import say, show_facts, show_json
from worker.cli.refusals import Refusal
from worker.cli.work import show_findings
from worker.flow import Shift, verbs
from worker.flow.errors import NotFound
from worker.flow.shown import shown
from worker.ledger import findings
from worker.records import FindingRow, FindingState

_MANY = 100_000


def list_findings(job: str | None, environment: str | None, limit: int, *, resolved: bool, as_json: bool) -> None:
    """Open ones, or those that are gone."""
    states = (FindingState.RESOLVED,) if resolved else findings.OPEN_STATES
    with shift().ledger.read() as connection:
        rows = findings.listing(connection, job=job, states=states, environment=environment, limit=limit)
    if as_json:
        show_json([shown(row) for row in rows])
    else:
        show_findings(rows)


def show_finding(text: str, *, as_json: bool) -> None:
    """All members of one finding."""
    row = finding_named(shift(), text)
    if as_json:
        show_json(shown(row))
    else:
        show_facts(shown(row) | {"opened_at": row.opened_at, "observed_at": row.observed_at, "muted_until": row.muted_until})


def say_about(text: str, verb: str, reason: str, duration: str, *, as_json: bool) -> None:
    """Acknowledge, mute or unmute it."""
    opened = shift()
    row = finding_named(opened, text)
    match verb:
        case "ack":
            row = verbs.acknowledge(opened, row.id, actor(), reason)
        case "unmute":
            row = verbs.unmute(opened, row.id, actor(), reason)
        case _:
            row = _mute(opened, row, reason, duration)
    if as_json:
        show_json(shown(row))
    else:
        say(f"{row.entry} {row.reason} is now {row.state}")


def _mute(opened: Shift, row: FindingRow, reason: str, duration: str) -> FindingRow:
    try:
        length = parse_duration(duration)
    except ValueError as error:
        raise Refusal(f"--for {duration}: {error}") from None
    return verbs.mute(opened, row.id, actor(), reason, opened.clock() + length)


def finding_named(opened: Shift, text: str) -> FindingRow:
    """By id, or by its end. Raises `NotFound`."""
    with opened.ledger.read() as connection:
        exact = findings.get(connection, text)
        near = [] if exact else findings.listing(connection, states=tuple(FindingState), limit=_MANY)
    near = [row for row in near if row.id.endswith(text)]
    if exact or len(near) == 1:
        return exact or near[0]
    raise NotFound(f"no finding {text}" if not near else f"{len(near)} findings end in {text}: give more of the id")
