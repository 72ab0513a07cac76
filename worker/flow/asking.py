"""Asking people: a proposal becomes a request, joins the pending one, or takes its place. In the caller's transaction."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from schedules.durations import parse_duration
from schedules.walls import wall_at
from tasks.ask import GATE_ONLY
from tasks.model import Reversibility
from worker.flow.answers import answered, approval_told
from worker.flow.events import News, emit
from worker.flow.planning import Proposal
from worker.flow.shift import Estate
from worker.ledger import (
    approvals,
    audit_rows,
    batches,
    effects,
    findings,
    gates,
    keepings,
    links,
    outbox,
    people,
    plans,
    revisions,
)
from worker.ledger.keepings import StoredArtifact
from worker.ledger.rows import new_id
from worker.records import (
    Approval,
    ApprovalState,
    AskedHow,
    AuditEntry,
    EventKind,
    FindingRow,
    FindingState,
    Gate,
    LinkPurpose,
    PlanRow,
    Run,
    Topic,
)

log = structlog.get_logger("nightshift.asking")


class Asked(StrEnum):
    """What became of a proposal."""

    NEW = "new"
    JOINED = "joined"
    MUTED = "muted"
    QUIET = "quiet"
    """Denied a short while ago: the same is not asked again yet."""
    IN_HAND = "in_hand"
    """A run that mends this subject has not ended, or needs a person."""


def ask(tx: Connection, estate: Estate, run: Run, proposals: Iterable[Proposal], now: datetime) -> list[Asked]:
    """Ask for each proposal, in the transaction that writes the run's findings, after them."""
    return [_ask(tx, estate, run, proposal, now) for proposal in proposals]


def close_gone(tx: Connection, resolved: Sequence[FindingRow], run: Run, now: datetime) -> None:
    """Pending requests whose findings are all gone have nothing left to mend."""
    digests = {digest for row in resolved for digest in plans.of_finding(tx, row.id)}
    for digest in sorted(digests):
        if any(row.state is not FindingState.RESOLVED for row in plans.findings(tx, digest)):
            continue
        for approval in approvals.pending_of(tx, digest):
            close(tx, approval, ApprovalState.SUPERSEDED, by=f"run:{run.id}", reason="what it would mend is gone", now=now)


def close(
    tx: Connection, approval: Approval, state: ApprovalState, *, by: str, reason: str, now: datetime, tells: bool = True
) -> bool:
    """End a pending or approved request: its links are dead, and whoever was asked is told, unless something else tells them.

    False: it had ended already.
    """
    from_states = (ApprovalState.PENDING, ApprovalState.APPROVED)
    values = {"state": state, "ended_at": now, "ended_by": by, "ended_reason": reason, "remind_at": None}
    if not approvals.change(tx, approval.id, from_states=from_states, **values):
        return False
    links.revoke(tx, approval.id, now, purpose=LinkPurpose.DECIDE)
    note(tx, now, by, f"approval.{state}", approval, reason=reason)
    if tells:
        tell(tx, approval.id, "approval_closed", now)
    announce(tx, EventKind.APPROVAL_CLOSED, approval, now)
    if approval.state is ApprovalState.PENDING:
        answered(tx, approval, by, now)
    return True


def announce(tx: Connection, kind: EventKind, approval: Approval, now: datetime) -> None:
    """An event for whoever subscribed."""
    news = News(kind=kind, job=approval.job, environment=approval.environment, tell=lambda: approval_told(tx, approval.id))
    emit(tx, [news], now)


def note(tx: Connection, now: datetime, actor: str, verb: str, approval: Approval, **facts: object) -> None:
    """One audit row about a request; each names the digest."""
    gate = gates.get(tx, approval.id)
    pinned = {"payload_sha256": gate.payload_sha256, "gate": GATE_ONLY} if gate else {}
    told = {"digest": approval.digest, "job": approval.job, "subject": approval.subject, **pinned, **facts}
    entry = AuditEntry(at=now, actor=actor, verb=verb, object_kind="approval", object_id=approval.id, facts=told)
    audit_rows.append(tx, entry)


def tell(tx: Connection, subject: str, kind: str, now: datetime) -> None:
    """A message for the relay to send."""
    outbox.put(tx, Topic.MESSAGE, subject, at=now, not_before=now, payload={"kind": kind, "message_id": new_id()})


def _ask(tx: Connection, estate: Estate, run: Run, proposal: Proposal, now: datetime) -> Asked:
    sealed = proposal.sealed
    rows = _rows(tx, run, proposal)
    if rows and all(row.state is FindingState.MUTED for row in rows):
        return _not_asked(run, proposal, Asked.MUTED)
    running = effects.in_hand(tx, run.job, sealed.subject)
    if running is not None and running.id != run.id:
        return _not_asked(run, proposal, Asked.IN_HAND)
    denied = approvals.last_denied(tx, sealed.digest, proposal.mode, now - parse_duration(estate.policy.ask_again_after))
    if denied:
        gates.note_asked(tx, run.id, denied.id, AskedHow.QUIET)
        return _not_asked(run, proposal, Asked.QUIET)
    plans.keep(tx, _plan_row(tx, run, proposal, now), [row.id for row in rows])
    pending = approvals.hold_pending(tx, run.job, sealed.subject, sealed.cause)
    if pending is not None and (pending.digest, pending.mode) == (sealed.digest, proposal.mode):
        _join(tx, estate, pending, run, proposal, now)
        return Asked.JOINED
    before = pending or approvals.latest(tx, run.job, sealed.subject, sealed.cause)
    fresh = _approval(tx, estate, run, proposal, rows, before, now)
    if pending is not None:
        close(tx, pending, ApprovalState.SUPERSEDED, by=f"run:{run.id}", reason=f"asked anew as {fresh.id}", now=now)
    approvals.insert_approval(tx, fresh)
    gates.note_asked(tx, run.id, fresh.id, AskedHow.NEW)
    if proposal.gate:
        gates.insert_gate(tx, _gate(tx, run, proposal, fresh))
    note(tx, now, f"worker:{run.worker}", "approval.asked", fresh, run=run.id, rule=fresh.rule, risk=fresh.risk, mode=fresh.mode)
    tell(tx, fresh.id, "approval_requested", now)
    announce(tx, EventKind.APPROVAL_ASKED, fresh, now)
    return Asked.NEW


def _gate(tx: Connection, run: Run, proposal: Proposal, approval: Approval) -> Gate:
    """Consumed by whoever's token asked, and by nobody if none did."""
    batch = batches.get(tx, run.batch_id)
    (step,) = proposal.sealed.plan.steps
    return Gate(
        approval_id=approval.id,
        family=(batch.family if batch else None) or "",
        payload_sha256=str(step.arguments["payload_sha256"]),
        use_seconds=int(str(step.arguments["use_seconds"])),
    )


def _rows(tx: Connection, run: Run, proposal: Proposal) -> list[FindingRow]:
    keys = set(proposal.sealed.plan.finding_keys)
    return [row for row in findings.of_entries(tx, run.job, [proposal.entry.name]) if row.key in keys]


def _not_asked(run: Run, proposal: Proposal, why: Asked) -> Asked:
    log.info("not_asked", run_id=run.id, subject=proposal.sealed.subject, digest=proposal.sealed.digest, why=why)
    return why


def _join(tx: Connection, estate: Estate, pending: Approval, run: Run, proposal: Proposal, now: datetime) -> None:
    # A canvas that names people must not be able to take the decision from them, one after the other.
    requesters = sorted({*pending.requesters, *requesters_of(tx, run, proven=True), *proposal.requesters})
    zone = ZoneInfo(estate.policy.working_hours.timezone)
    another_day = wall_at(now, zone).date() != wall_at(pending.seen_at, zone).date()
    nights = pending.nights + another_day
    seen = {"nights": nights, "seen_at": now, "seen_run_id": run.id, "requesters": requesters}
    # What the rule demands by now, not on the first night.
    values = {**seen, "quorum": proposal.rule.approvers, "people": list(proposal.rule.people)}
    approvals.change(tx, pending.id, from_states=(ApprovalState.PENDING,), **values)
    gates.note_asked(tx, run.id, pending.id, AskedHow.JOINED)
    note(tx, now, f"worker:{run.worker}", "approval.seen_again", pending, run=run.id, nights=nights)


def _nights(estate: Estate, before: Approval, now: datetime) -> int:
    """One more, if it was last found on another day."""
    zone = ZoneInfo(estate.policy.working_hours.timezone)
    return before.nights + (wall_at(now, zone).date() != wall_at(before.seen_at, zone).date())


def _plan_row(tx: Connection, run: Run, proposal: Proposal, now: datetime) -> PlanRow:
    sealed, simulation = proposal.sealed, proposal.simulation
    content = simulation.text.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    artifact = StoredArtifact(
        sha256=sha256, size=len(content), media_type="text/plain", key_id=None, content=content, created_at=now
    )
    keepings.keep_artifact(tx, artifact, run_id=run.id, name=f"simulation-{sealed.digest[:12]}.txt")
    worst = max((step.reversibility for step in sealed.plan.steps), key=lambda kind: list(Reversibility).index(kind))
    return PlanRow(
        digest=sealed.digest,
        content=sealed.content,
        job=run.job,
        subject=sealed.subject,
        cause=sealed.cause,
        entry=proposal.entry.name,
        environment=proposal.entry.environment,
        params=proposal.params,
        summary=simulation.summary,
        simulation_sha256=sha256,
        irreversible=list(simulation.irreversible),
        reversibility=worst,
        soft_pins=dict(simulation.soft_pins),
        run_id=run.id,
        created_at=now,
    )


def _approval(
    tx: Connection,
    estate: Estate,
    run: Run,
    proposal: Proposal,
    rows: Sequence[FindingRow],
    before: Approval | None,
    now: datetime,
) -> Approval:
    expires_at, remind_at = estate.policy.expiry(now)
    again = before is not None and before.state in (ApprovalState.PENDING, ApprovalState.EXPIRED)
    return Approval(
        id=new_id(),
        digest=proposal.sealed.digest,
        job=run.job,
        subject=proposal.sealed.subject,
        cause=proposal.sealed.cause,
        entry=proposal.entry.name,
        environment=proposal.entry.environment,
        owner=proposal.entry.owner,
        labels=dict(proposal.entry.labels),
        mode=proposal.mode,
        state=ApprovalState.PENDING,
        title=proposal.simulation.summary or (rows[0].title if rows else proposal.sealed.subject),
        risk=proposal.assessment.risk,
        risk_reasons=list(proposal.assessment.reasons),
        rule=proposal.rule.name,
        quorum=proposal.rule.approvers,
        people=list(proposal.rule.people),
        requesters=sorted({*requesters_of(tx, run), *proposal.requesters}),
        run_id=run.id,
        seen_run_id=run.id,
        nights=_nights(estate, before, now) if before is not None and again else 1,
        asked_at=now,
        seen_at=now,
        expires_at=expires_at,
        remind_at=remind_at,
        supersedes=before.id if before is not None else None,
        revision=estate.revision,
        epoch=revisions.state(tx).epoch,
    )


def requesters_of(tx: Connection, run: Run, *, proven: bool = False) -> set[str]:
    """The people behind a run: who asked for it, on whose behalf, and who made the token that did. The scheduler is nobody.

    Whoever approved a run did not ask for it: behind that one are those who asked for its approval.
    """
    approval = approvals.get(tx, run.approval_id) if run.approval_id is not None else None
    if approval is not None:
        return set(approval.requesters)
    batch = batches.get(tx, run.batch_id)
    return people_behind(tx, batch.requested_by, proven=proven) if batch is not None else set()


def people_behind(tx: Connection, requested_by: str, *, proven: bool = False) -> set[str]:
    """The people behind an actor, as the audit writes it: a name of theirs each, or an address.

    `proven`: without those whom a canvas merely names. Nothing is split that a name might hold itself.
    """
    kind, _, name = requested_by.partition(":")
    if kind in {"person", "cli"}:
        return {name} - {""}
    named: set[str] = set()
    for token in people.tokens(tx) if kind in {"token", "n8n"} else ():
        actor = f"{kind}:{token.name}"
        if requested_by == actor or requested_by.startswith(f"{actor} for "):
            named.add(token.created_by.partition(":")[2] or token.created_by)
            named |= set() if proven else {requested_by.removeprefix(actor).removeprefix(" for ")}
    return named - {""}
