"""Requests for approval: told to channels with the bare link, and to each who may decide with a link of their own."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from notifications.approvals import ApprovalFacts, ApprovalKind, Mended, Said, approval_message, for_person
from notifications.findings import root
from notifications.message import Message, MessageKind
from notifications.routes import Announce, announce
from tasks.ask import GATE_ONLY
from worker import seal
from worker.flow.authorizing import deciders
from worker.flow.runbooks import RUNBOOKS
from worker.ledger import approvals, gates, keepings, plans, runs, telling
from worker.records import Approval, ApprovalState, OutboxRow, PlanRow, Run, Verdict
from worker.relay.messages.followers import follow, recipient
from worker.relay.messages.turn import Intent, Turn, place_of

log = structlog.get_logger("nightshift.messages")


def ask(turn: Turn, row: OutboxRow, kind: ApprovalKind) -> None:
    """A request, or a reminder of it, while somebody can decide on it."""
    with turn.shift.ledger.read() as connection:
        approval = approvals.get(connection, row.subject)
        if approval is None or approval.state is not ApprovalState.PENDING or approval.expires_at <= turn.now:
            return
        facts = request_facts(turn, connection, approval)
    message = approval_message(kind, facts, turn.console_url, message_id=str(row.payload["message_id"]), now=row.created_at)
    where = _where(turn, facts)
    for name in where.channels:
        turn.intend(Intent(row=row, channel=name, message=_threaded(turn, message, approval.id, name), about=approval.id))
    if where.people and approval.mode == "execute":
        _ask_people(turn, row, message, approval, {one.person for one in facts.said})
    if where.again_at is not None:
        turn.later[row.id] = where.again_at


def conclude(turn: Turn, row: OutboxRow, kind: ApprovalKind) -> None:
    """It is decided, or closed: told to whoever was asked."""
    with turn.shift.ledger.read() as connection:
        approval = approvals.get(connection, row.subject)
        facts = request_facts(turn, connection, approval) if approval else None
        run = runs.get(connection, approval.effect_run_id) if approval and approval.effect_run_id else None
    if facts is not None:
        # Who has still to agree keeps the message with their link; and no late yes is shown over the end of its run.
        ended = run is not None and run.verdict in (Verdict.VERIFIED, Verdict.ROLLED_BACK)
        _follow(turn, row, kind, facts, amend=facts.state != ApprovalState.PENDING and not ended)


def mended(turn: Turn, row: OutboxRow) -> None:
    """The run has ended well, or took back what it did: told to whoever was asked."""
    with turn.shift.ledger.read() as connection:
        run = runs.get(connection, row.subject)
        approval = approvals.get(connection, run.approval_id) if run and run.approval_id else None
        facts = request_facts(turn, connection, approval, run) if approval else None
    if facts is not None:
        _follow(turn, row, MessageKind.REMEDIATION_ENDED, facts, amend=True)


def request_facts(turn: Turn, connection: Connection, approval: Approval, run: Run | None = None) -> ApprovalFacts:
    """What there is to say of it now; `run` is the one that carried it out."""
    estate = turn.shift.estate()
    plan = plans.get(connection, approval.digest)
    said = approvals.decisions(connection, approval.id)
    found = plans.findings(connection, approval.digest)
    return ApprovalFacts(
        id=approval.id,
        title=approval.title,
        job=approval.job,
        entry=approval.entry,
        subject=approval.subject,
        cause=approval.cause,
        root=next((root(row.job, row.subject, row.reason, row.cause) for row in found), ""),
        environment=approval.environment,
        owner=approval.owner,
        labels=approval.labels,
        mode=approval.mode,
        state=approval.state,
        risk=approval.risk,
        risk_reasons=approval.risk_reasons,
        irreversible=plan.irreversible if plan else (),
        simulation=_simulation(turn, connection, plan) if plan else "",
        rule=approval.rule,
        quorum=approval.quorum,
        deciders=[person.name for person in deciders(estate, approval)],
        asked_at=approval.asked_at,
        expires_at=approval.expires_at,
        zone=ZoneInfo(estate.policy.working_hours.timezone),
        nights=approval.nights,
        said=[Said(person=one.person, choice=one.choice, at=one.at, via=one.via, reason=one.reason) for one in said],
        findings=[f"{row.severity}: {row.title}" for row in found],
        moved=_moved(connection, approval, plan),
        supersedes=approval.supersedes,
        ended_by=approval.ended_by,
        ended_reason=approval.ended_reason,
        digest=approval.digest,
        run_id=approval.run_id,
        gate=GATE_ONLY if gates.get(connection, approval.id) else "",
        mended=Mended(run_id=run.id, verdict=run.verdict or "ended", summary=run.summary) if run else None,
        code=_code(connection, approval, run),
    )


def _code(connection: Connection, approval: Approval, run: Run | None) -> str | None:
    """Of its run, which may have been refused before its first step, or else of the request itself."""
    ended = run or (runs.get(connection, approval.effect_run_id) if approval.effect_run_id else None)
    return next((code for code in (ended.reason if ended else None, approval.state) if code in RUNBOOKS), None)


def _simulation(turn: Turn, connection: Connection, plan: PlanRow) -> str:
    stored = keepings.artifact(connection, plan.simulation_sha256)
    if stored is None:
        return ""
    content = turn.shift.keys.decrypt(stored.content.decode()) if stored.key_id else stored.content
    return content.decode("utf-8", "replace")


def _moved(connection: Connection, approval: Approval, plan: PlanRow | None) -> list[str]:
    before = approvals.get(connection, approval.supersedes) if approval.supersedes else None
    old = plans.get(connection, before.digest) if before and before.digest != approval.digest else None
    return seal.moved(old.content, plan.content) if old and plan else []


def _where(turn: Turn, facts: ApprovalFacts) -> Announce:
    return announce(turn.routing.to_routes(), facts, quiet_until=turn.quiet_until(), now=turn.now)


def _threaded(turn: Turn, message: Message, approval_id: str, place: str) -> Message:
    """A reminder answers the request, where that was told."""
    if message.kind is not MessageKind.APPROVAL_REMINDER:
        return message
    with turn.shift.ledger.read() as connection:
        told = telling.told_of(connection, approval_id, [MessageKind.APPROVAL_REQUESTED])
    return replace(message, reply_to=told.get(place))


def _ask_people(turn: Turn, row: OutboxRow, message: Message, approval: Approval, decided: set[str]) -> None:
    asked = [person for person in deciders(turn.shift.estate(), approval) if person.name not in decided]
    if not asked:
        log.warning("nobody_may_decide", approval_id=approval.id, job=approval.job, environment=approval.environment)
    for person in asked:
        to = recipient(person)
        own = [name for name in turn.routing.personal if turn.channels.reaches(name, to)]
        if not own and turn.routing.personal:
            log.warning("decider_unreachable", approval_id=approval.id, person=person.name)
        for name in own:
            said = _threaded(turn, for_person(message, to), approval.id, place_of(name, to.name))
            turn.intend(Intent(row=row, channel=name, message=said, about=approval.id, link=approval))


def _follow(turn: Turn, row: OutboxRow, kind: ApprovalKind, facts: ApprovalFacts, *, amend: bool) -> None:
    message = approval_message(kind, facts, turn.console_url, message_id=str(row.payload["message_id"]), now=row.created_at)
    where = _where(turn, facts)
    follow(turn, row, message, facts.id, speak=where.people, amend=amend)
    if not where.people and where.again_at is not None:
        turn.later[row.id] = where.again_at
