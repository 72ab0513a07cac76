"""Taking work in: a request becomes a batch of queued runs, their audit row and their bells, in one transaction."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from worker.flow.drafting import Draft, Order, draft_orders
from worker.flow.errors import Invalid, KeyConflict
from worker.flow.shift import Estate, Shift
from worker.ledger import audit_rows, batches, outbox, revisions, runs, turns
from worker.ledger.rows import new_id
from worker.records import Actor, AuditEntry, Batch, Run, RunKind, RunState, Topic, Trigger

MOST_RUNS = 100_000
"""Runs one request may ask for."""

Permit = Callable[[str, str, bool], None]
"""`permit(job, environment, ad_hoc)` raises `Forbidden` unless the actor may run that."""


def permit_all(job: str, environment: str, ad_hoc: bool) -> None:  # noqa: FBT001 - the shape of a Permit
    """For the schedules of the configuration and the operator's own command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants done. `callback` is encrypted already."""

    orders: Sequence[Order]
    trigger: Trigger
    actor: Actor
    family: str | None = None
    idempotency_key: str | None = None
    callback: str | None = None
    callback_sha256: str | None = None
    """Of the URL in clear: encrypted, the same one never looks the same."""
    schedule: str | None = None
    fire_key: str | None = None
    due_at: datetime | None = None
    note: str = ""
    traceparent: str | None = None
    parent_id: str | None = None
    question: bool = False
    """Made by `flow.gates`, which alone says whose question it is."""

    def digest(self) -> str:
        """Of what is asked for: the same key with another digest is a conflict."""
        asked = {
            "orders": [{"job": o.job, "params": o.params} for o in self.orders],
            "schedule": self.schedule,
            "note": self.note,
            "callback": self.callback_sha256,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The batch, new or the one that was there before (`joined`)."""

    batch: Batch
    runs: Sequence[Run]
    joined: bool


def enqueue(shift: Shift, request: Request, permit: Permit = permit_all) -> Enqueued:
    """Write the batch and ring. Raises `Invalid`, `NotFound`, `Forbidden`, `KeyConflict`; then nothing was written."""
    before = _same_key(shift, request)
    if before is not None:
        return before
    drafts, estate = draft_orders(shift, request.orders)
    if len(drafts) > MOST_RUNS:
        message = f"{len(drafts)} runs asked for, at most {MOST_RUNS} a request"
        raise Invalid(message, field="items")
    for draft in drafts:
        if draft.job.gate and not request.question:
            raise Invalid(f"{draft.job.name} is not run: ask by `POST /v1/asks`", code="not_run_but_asked", field="job")
        permit(draft.job.name, draft.entries[0].environment, draft.ad_hoc)
    with shift.ledger.turn() if len(drafts) == 1 else shift.ledger.transaction() as tx:
        made = write_batch(shift, tx, request, drafts, estate)
    if made is None:
        return _joined(shift, request)
    shift.ring(with_room(made.runs))
    return made


def with_room(made: Sequence[Run]) -> list[Run]:
    """Those for whose bells there may be room; as one ends, the next of its account is rung for."""
    rung: Counter[str] = Counter()
    first: list[Run] = []
    for run in made:
        rung[run.account or ""] += 1
        if run.account_limit is None or rung[run.account or ""] <= run.account_limit:
            first.append(run)
    return first


def write_batch(shift: Shift, tx: Connection, request: Request, drafts: Sequence[Draft], estate: Estate) -> Enqueued | None:
    """Insert batch, runs, audit row and bells; None when the key is taken. The caller rings after commit."""
    now = shift.clock()
    at_once = len(drafts) == 1 and shift.ledger.dialect == "postgresql"
    # One statement finds the epoch by itself.
    epoch = 0 if at_once else revisions.state(tx).epoch
    batch = _batch(request, drafts, estate, epoch, now)
    made = [_run(batch, request, position, draft, estate.accounts) for position, draft in enumerate(drafts)]
    told = _queued(request, batch, made)
    if at_once:
        found = turns.queue_one(tx, batch, made[0], told, again_at=now + shift.pace.first_ring_again)
        if found is None:
            return None
        return Enqueued(replace(batch, epoch=found), [replace(made[0], epoch=found)], joined=False)
    if not batches.insert_batch(tx, batch):
        return None
    runs.insert_runs(tx, made)
    _put_bells(shift, tx, [run.id for run in made], now)
    audit_rows.append(tx, told)
    return Enqueued(batch, made, joined=False)


def _queued(request: Request, batch: Batch, made: Sequence[Run]) -> AuditEntry:
    facts = {
        "runs": len(made),
        "jobs": sorted({run.job for run in made}),
        "trigger": request.trigger,
        "schedule": request.schedule,
    }
    return AuditEntry(
        at=batch.created_at,
        actor=str(request.actor),
        verb="batch.queued",
        object_kind="batch",
        object_id=batch.id,
        facts=facts,
    )


def _put_bells(shift: Shift, tx: Connection, run_ids: list[str], now: datetime) -> None:
    """The committer rings the first ones itself; the relay rings the others when there is room, and all that stay unclaimed."""
    first, others = run_ids[: shift.pace.ring_cap], run_ids[shift.pace.ring_cap :]
    again = now + shift.pace.first_ring_again
    outbox.put_many(tx, Topic.BELL, first, at=now, not_before=again, attempts=1)
    outbox.put_many(tx, Topic.BELL, others, at=now, not_before=now)


def _same_key(shift: Shift, request: Request) -> Enqueued | None:
    if request.family is None or request.idempotency_key is None:
        return None
    with shift.ledger.read() as connection:
        batch = batches.by_idempotency_key(connection, request.family, request.idempotency_key)
        if batch is None:
            return None
        if batch.request_digest != request.digest():
            message = (
                f"idempotency key {request.idempotency_key!r} was used at {batch.created_at:%Y-%m-%d %H:%M} UTC for another "
                f"body: then SHA-256 {batch.request_digest}, now {request.digest()}; use a new key for new work. An n8n with "
                "a new database counts its executions from 1 again: give it a fresh token (`nightshift n8n build --token`)"
            )
            raise KeyConflict(message, field="idempotency_key")
        return Enqueued(batch, runs.of_batch(connection, batch.id), joined=True)


def _joined(shift: Shift, request: Request) -> Enqueued:
    """Somebody was faster with the same key."""
    same = _same_key(shift, request)
    if same is not None:
        return same
    assert request.schedule is not None
    assert request.fire_key is not None
    with shift.ledger.read() as connection:
        batch = batches.by_fire(connection, request.schedule, request.fire_key)
        assert batch is not None
        return Enqueued(batch, runs.of_batch(connection, batch.id), joined=True)


def _batch(request: Request, drafts: Sequence[Draft], estate: Estate, epoch: int, now: datetime) -> Batch:
    return Batch(
        id=new_id(),
        trigger=request.trigger,
        requested_by=str(request.actor),
        schedule=request.schedule,
        fire_key=request.fire_key,
        due_at=request.due_at,
        family=request.family,
        idempotency_key=request.idempotency_key,
        request_digest=request.digest(),
        callback=request.callback,
        total=len(drafts),
        remaining=len(drafts),
        entries_expected=sum(len(draft.entries) for draft in drafts),
        revision=estate.revision,
        epoch=epoch,
        note=request.note,
        created_at=now,
    )


def _run(batch: Batch, request: Request, position: int, draft: Draft, accounts: Mapping[str, int]) -> Run:
    owners = {entry.owner for entry in draft.entries}
    loads = [entry.load() for entry in draft.entries]
    # Accounts that the configuration does not name bound nothing.
    limit = accounts.get(loads[0].account)
    shared = set.intersection(*(set(entry.labels.items()) for entry in draft.entries))
    return Run(
        id=new_id(),
        batch_id=batch.id,
        position=position,
        item=draft.item,
        job=draft.job.name,
        kind=RunKind.CHECK,
        parent_id=request.parent_id,
        trigger=request.trigger,
        environment=draft.entries[0].environment,
        owner=owners.pop() if len(owners) == 1 else "",
        labels=dict(sorted(shared)),
        params=draft.params,
        state=RunState.QUEUED,
        entries_expected=len(draft.entries),
        revision=batch.revision,
        epoch=batch.epoch,
        traceparent=request.traceparent,
        account=loads[0].account if limit is not None else None,
        account_limit=limit,
        memory_mb=max(load.memory_mb for load in loads) or None,
        created_at=batch.created_at,
    )
