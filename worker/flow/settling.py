"""A person's word on a run that needs them, by a link or a page that asks for their PIN."""

from dataclasses import dataclass, field

from worker.flow import verbs
from worker.flow.authorizing import authorize_resolve
from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.shift import Shift
from worker.ledger import approvals, runs
from worker.records import Actor, ActorKind, Run, RunState

LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What somebody says became of the run of a request."""

    approval_id: str
    person: str
    resolution: str
    reason: str
    pin: str = field(repr=False)
    process_ended: bool = False
    """Whether they made sure that the process which did the step has ended."""
    link_sha256: str | None = field(default=None, repr=False)
    """The link they came by, which is spent with their word."""


def settle(shift: Shift, word: Word) -> Run:
    """Resolve the run as that person, once they have proven themselves.

    Raises `NotFound`, `Invalid`, `Forbidden` (`not_a_resolver`, `no_pin`, `wrong_pin`), `Refused` (`not_needs_attention`,
    `pin_locked`, `link_revoked`, and what `verbs.resolve` raises); then nothing was written but a wrong PIN's count.
    """
    if len(word.reason) > LONGEST_REASON:
        raise Invalid(f"`reason` has {len(word.reason)} characters, at most {LONGEST_REASON} are kept", field="reason")
    verbs.require_resolution(word.resolution, word.reason)
    with shift.ledger.read() as connection:
        approval = approvals.get(connection, word.approval_id)
        run = runs.get(connection, approval.effect_run_id) if approval is not None and approval.effect_run_id else None
    if run is None:
        raise NotFound(f"approval {word.approval_id[:64]!r} has no run", code="unknown_run")
    if run.state is not RunState.NEEDS_ATTENTION:
        raise Refused(f"run {run.id} is {run.state}: nothing is to be settled any more", code="not_needs_attention")
    authorize_resolve(shift, shift.estate(), run, word.person, word.pin)
    actor = Actor(ActorKind.PERSON, word.person)
    return verbs.resolve(
        shift, run.id, actor, word.resolution, word.reason, process_ended=word.process_ended, link_sha256=word.link_sha256
    )
