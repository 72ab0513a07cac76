"""Job and Remedy: the two shapes a job module fills in, and `@job` for a check in ten lines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tasks.context import ApplyContext, Context, Entry
from tasks.model import Answer, Finding, Ok, Plan, ProbeVerdict, Receipt, Simulation, Step, Verification


class Params(BaseModel):
    """Parameters of a run. A job subclasses it; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entries: tuple[str, ...] = Field((), description="Names of estate entries; empty means all of the job's table.")
    targets: tuple[dict[str, Any], ...] = Field(
        (), description="Entries that are not in the estate; needs a grant with `ad_hoc`, and a job that allows it."
    )


P = TypeVar("P", bound=Params)
P_contra = TypeVar("P_contra", bound=Params, contravariant=True)


class Proposer(Protocol[P_contra]):
    """A remedy without `apply`: its requests always behave as in mode `propose`."""

    def plan(self, ctx: Context, params: P_contra, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        """The changes that would mend `findings`, which are of one entry, subject and cause; reads only. None: nothing to do.

        Called again right before the run, on the same findings: for an unchanged world it must give the same plan.
        """
        ...


class Remedy(Proposer[P_contra], Protocol[P_contra]):
    """The part of a job that can plan, apply and verify.

    It may also have `still(ctx, step) -> bool`, which reads only: whether the world is as `step.precondition` says, asked just
    before the step. Without it an interrupted plan does not go on with its next step: a person is called.
    """

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        """Make one outside change; the only method that changes the world. May run twice with the same key.

        Raises `StepFailed` when the change was tried and failed. After any other exception the probe is asked.
        """
        ...

    def verify(self, ctx: Context, plan: Plan, receipts: Sequence[Receipt]) -> Verification:
        """Look again; trusts nothing that `apply` said. Also called after a rollback, with the reverse steps as the plan's."""
        ...

    def probe(self, ctx: Context, step: Step) -> ProbeVerdict:
        """After a death between intent and outcome: did the step happen? `UNKNOWN` calls a person."""
        ...

    def undo(self, step: Step, receipt: Receipt) -> Step | None:
        """The reverse step; only `apply` acts on it. None: it cannot be undone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job(Generic[P]):
    """Something the worker knows how to do, defined once.

    `check` yields answers; it may raise, which fails the run. It is synchronous; it may run an event loop inside.
    An entry of the run without any answer is reported as `cannot_tell: not_looked_at`.
    """

    name: str
    """snake_case; also the name of its estate table and of its Celery task (`nightshift.jobs.<name>`)."""
    summary: str
    check: Callable[[Context, P], Iterable[Answer]]
    params: type[P]
    entry: type[Entry] | None = None
    """Model of its estate table; None: the job looks at one thing of its own, and gets one entry of its own name."""
    entries_per_run: int = 1
    time_limit: timedelta = timedelta(minutes=10)
    ad_hoc: bool = False
    """Whether a request with the grant may name targets outside the estate."""
    examples: Mapping[str, str] = field(default_factory=dict)
    remedy: Remedy[P] | Proposer[P] | None = None
    gate: bool = False
    """Its targets are questions that somebody asks of people: a yes starts no run, whoever asked consumes it once."""


def job(
    *, name: str, summary: str, time_limit: timedelta = timedelta(minutes=10)
) -> Callable[[Callable[[Context], Iterable[Finding]]], Job[Params]]:
    """Make a job of a function that yields findings about one thing; nothing yielded means `ok`.

    The findings' `entry` and `subject` may be the job's name. See `docs/add-a-job.md`.
    """

    def wrap(function: Callable[[Context], Iterable[Finding]]) -> Job[Params]:
        def check(ctx: Context, params: Params) -> Iterator[Answer]:  # noqa: ARG001 - the shape of a check
            found = False
            for finding in function(ctx) or ():
                found = True
                yield finding
            if not found:
                yield Ok(entry=name, subject=name)

        return Job(name=name, summary=summary, check=check, params=Params, time_limit=time_limit)

    return wrap
