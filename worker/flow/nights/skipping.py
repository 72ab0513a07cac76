"""A fire that is not run is a skipped run with its reason, in a batch of its own under the fire's key."""

from dataclasses import dataclass

from sqlalchemy import Connection

from schedules.schedule import Due, Schedule
from tasks.model import Json
from worker.flow.intake import Enqueued
from worker.flow.nights.selecting import Work
from worker.flow.shift import Shift
from worker.flow.shown import jsonable
from worker.flow.verbs import note
from worker.ledger import batches, revisions, runs
from worker.ledger.rows import new_id
from worker.records import Actor, Batch, Run, RunKind, RunState, Trigger

MADE_UP_FOR = ("superseded", "too_many")
"""Another fire looks at the same entries: a night does not expect them twice."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """Why a fire is not run: a stable code, and a sentence."""

    reason: str
    detail: str


def write_skipped(
    shift: Shift, tx: Connection, schedule: Schedule, due: Due, actor: Actor, trigger: Trigger, why: NotRun, work: Work | NotRun
) -> Enqueued:
    """The batch with its one run, ended from the start, and its audit row; the caller has seen that the key is free."""
    now = shift.clock()
    estate = shift.estate()
    batch = Batch(
        id=new_id(),
        trigger=trigger,
        requested_by=str(actor),
        schedule=schedule.name,
        fire_key=due.fire_key,
        due_at=due.at,
        total=1,
        remaining=0,
        entries_expected=0 if why.reason in MADE_UP_FOR or isinstance(work, NotRun) else _entries(work),
        revision=estate.revision,
        epoch=revisions.state(tx).epoch,
        created_at=now,
        ended_at=now,
    )
    run = _run(schedule, batch, why, str(estate.defaults.get("environment", "default")), work)
    batches.insert_batch(tx, batch)
    runs.insert_runs(tx, [run])
    facts = {"job": run.job, "schedule": schedule.name, "fire_key": due.fire_key, "reason": why.reason, "detail": why.detail}
    note(tx, now, actor, "run.skipped", "run", run.id, **facts)
    return Enqueued(batch, [run], joined=False)


def _run(schedule: Schedule, batch: Batch, why: NotRun, default_environment: str, work: Work | NotRun) -> Run:
    entries = [] if isinstance(work, NotRun) else [entry for draft in work.drafts for entry in draft.entries]
    environments = {entry.environment for entry in entries}
    owners = {entry.owner for entry in entries}
    return Run(
        id=new_id(),
        batch_id=batch.id,
        position=0,
        item=0,
        job=schedule.job,
        kind=RunKind.CHECK,
        trigger=batch.trigger,
        environment=environments.pop() if len(environments) == 1 else default_environment,
        owner=owners.pop() if len(owners) == 1 else "",
        params=_params(schedule, [entry.name for entry in entries]),
        state=RunState.SKIPPED,
        reason=why.reason,
        summary=why.detail,
        entries_expected=batch.entries_expected,
        revision=batch.revision,
        epoch=batch.epoch,
        created_at=batch.created_at,
        ended_at=batch.ended_at,
    )


def _params(schedule: Schedule, names: list[str]) -> dict[str, Json]:
    """As of a run that is run; the night counts the entries by their names."""
    params = {key: jsonable(value) for key, value in schedule.parameters.items()}
    return {**params, "entries": names} if names else params


def _entries(work: Work) -> int:
    return sum(len(draft.entries) for draft in work.drafts)
