"""`/v1/findings`: what is wrong, and what people say to it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from tasks.model import Severity
from worker.api.auth import Caller, Who
from worker.api.gateway import Gateway, Here
from worker.api.reading import visible_finding, visible_findings
from worker.api.runs import WhyBody
from worker.api.validation import Closed
from worker.flow import verbs
from worker.flow.shown import shown
from worker.ledger.findings import OPEN_STATES
from worker.records import FindingKind, FindingState

router = APIRouter(prefix="/v1/findings", tags=["findings"])


class FindingQuery(Closed):
    """Which findings to list; without `state`, all that are not resolved."""

    job: str | None = None
    state: FindingState | None = None
    environment: str | None = None
    severity: Severity | None = None
    kind: FindingKind | None = None
    run: str | None = Field(None, description="Id of the run that saw them last.")
    limit: int = Field(500, ge=1, le=10_000)


class MuteBody(Closed):
    """Until when, and why, a finding is not told any more."""

    reason: str = Field(min_length=1, max_length=500)
    until: AwareDatetime = Field(description="ISO 8601 with an offset, in the future.")


@router.get("")
def list_findings(query: Annotated[FindingQuery, Query()], here: Here, who: Who) -> dict[str, Any]:
    """Findings, worst first; `total` counts those beyond `limit`, too."""
    states = OPEN_STATES if query.state is None else (query.state,)
    with here.shift.ledger.read() as connection:
        rows = visible_findings(connection, who, job=query.job, states=states, environment=query.environment, run_id=query.run)
    found = [row for row in rows if query.severity in (None, row.severity) and query.kind in (None, row.kind)]
    return {"findings": [shown(row) for row in found[: query.limit]], "total": len(found)}


@router.get("/{finding_id}")
def get_finding(finding_id: str, here: Here, who: Who) -> dict[str, Any]:
    """One finding with its evidence."""
    with here.shift.ledger.read() as connection:
        return shown(visible_finding(connection, who, finding_id))


@router.post("/{finding_id}/acknowledge")
def acknowledge(finding_id: str, here: Here, who: Who, body: WhyBody | None = None) -> dict[str, Any]:
    """Somebody is on it: told no more until it gets worse or comes back."""
    require_mute(here, who, finding_id)
    return shown(verbs.acknowledge(here.shift, finding_id, who.actor, body.reason if body else ""))


@router.post("/{finding_id}/mute")
def mute(finding_id: str, body: MuteBody, here: Here, who: Who) -> dict[str, Any]:
    """Told no more until then."""
    require_mute(here, who, finding_id)
    return shown(verbs.mute(here.shift, finding_id, who.actor, body.reason, body.until))


@router.post("/{finding_id}/unmute")
def unmute(finding_id: str, here: Here, who: Who, body: WhyBody | None = None) -> dict[str, Any]:
    """Open again."""
    require_mute(here, who, finding_id)
    return shown(verbs.unmute(here.shift, finding_id, who.actor, body.reason if body else ""))


def require_mute(here: Gateway, who: Caller, finding_id: str) -> None:
    """Raise unless the caller sees the finding and may mute it."""
    with here.shift.ledger.read() as connection:
        row = visible_finding(connection, who, finding_id)
    who.require("mute", row.job, row.environment)
