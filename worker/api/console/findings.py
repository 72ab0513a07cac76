"""Findings: the list, one with its evidence, and what a person says to it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import escape
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import HTMLResponse

from notifications.differences import Difference, differences, since
from notifications.roots import by_root, same_in
from worker.api.console.page import Acts, Looks, back_to
from worker.api.findings import require_mute
from worker.api.reading import visible_finding, visible_findings
from worker.flow import verbs
from worker.ledger import audit_rows
from worker.ledger.findings import OPEN_STATES
from worker.records import FindingState

PAGE = 40
EVERY_STATE = (*OPEN_STATES, FindingState.RESOLVED)
Shown = Literal["unresolved", "open", "acknowledged", "muted", "resolved", "all"]
MUTE_DAYS = (1, 7, 30, 90)
DIFFERENCE = 160
DIFFERENCES_BYTES = 13_000
"""Of a page of 30 KB."""
ROW_BYTES = 220
"""The tags around one."""
TOLD_BY_DIFFERENCES = frozenset({"changes", "changes_count", "since", "who", "last_update"})

router = APIRouter(prefix="/findings")


@router.get("", response_class=HTMLResponse)
def findings_page(
    visitor: Looks, state: Shown = "unresolved", job: str = "", cause: str = "", page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> HTMLResponse:
    """Findings of one root are one row; `cause` shows each of them."""
    states = {"unresolved": OPEN_STATES, "all": EVERY_STATE}.get(state) or (FindingState(state),)
    with visitor.here.shift.ledger.read() as connection:
        rows = visible_findings(connection, visitor.caller, job=job or None, states=states)
    groups = [[row] for row in rows if row.cause == cause] if cause else by_root(rows)
    shown = groups[(page - 1) * PAGE : page * PAGE]
    return visitor.page(
        "findings.html",
        rows=[group[0] for group in shown],
        together={group[0].id: same_in(group) for group in shown if len(group) > 1},
        total=len(groups),
        state=state,
        job=job,
        cause=cause,
        jobs=sorted(visitor.here.shift.jobs),
        page=page,
        pages=max(1, -(-len(groups) // PAGE)),
    )


@router.get("/{finding_id}", response_class=HTMLResponse)
def finding_page(visitor: Looks, finding_id: str) -> HTMLResponse:
    with visitor.here.shift.ledger.read() as connection:
        row = visible_finding(connection, visitor.caller, finding_id)
        told = audit_rows.recent(connection, object_id=finding_id, limit=20)
    may_mute = visitor.caller.may("mute", row.job, row.environment) and row.state is not FindingState.RESOLVED
    update = row.evidence.get("last_update")
    differing = differences(row.desired, row.actual, row.evidence, DIFFERENCE)
    # What the differences say in full is not said a second time as evidence.
    rest = {name: item for name, item in row.evidence.items() if not differing or name not in TOLD_BY_DIFFERENCES}
    return visitor.page(
        "finding.html",
        row=row,
        differing=fitting(differing, DIFFERENCES_BYTES),
        count=max(len(differing), _number(row.evidence.get("changes_count"))),
        since=since(row.evidence),
        deployed=since({"since": update.get("at")}) if isinstance(update, Mapping) else None,
        evidence=rest,
        told=told[::-1],
        may_mute=may_mute,
        mute_days=MUTE_DAYS,
    )


def fitting(found: Sequence[Difference], most_bytes: int) -> list[Difference]:
    """As many as the page can hold, the first at least."""
    kept: list[Difference] = []
    for one in found:
        texts = (one.resource, one.type, one.path, one.desired, one.last_known, one.actual)
        most_bytes -= sum(len(escape(text).encode("utf-8", "replace")) for text in texts) + ROW_BYTES
        if most_bytes < 0 and kept:
            break
        kept.append(one)
    return kept


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


@router.post("/{finding_id}/acknowledge")
def acknowledge(visitor: Acts, finding_id: str, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    verbs.acknowledge(visitor.here.shift, finding_id, visitor.caller.actor, reason)
    return back_to(f"/findings/{finding_id}")


@router.post("/{finding_id}/mute")
def mute(
    visitor: Acts,
    finding_id: str,
    days: Annotated[int, Form(ge=1, le=366)],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    until = visitor.here.shift.clock() + timedelta(days=days)
    verbs.mute(visitor.here.shift, finding_id, visitor.caller.actor, reason, until)
    return back_to(f"/findings/{finding_id}")


@router.post("/{finding_id}/unmute")
def unmute(visitor: Acts, finding_id: str) -> Response:
    require_mute(visitor.here, visitor.caller, finding_id)
    verbs.unmute(visitor.here.shift, finding_id, visitor.caller.actor)
    return back_to(f"/findings/{finding_id}")
