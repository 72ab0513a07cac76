"""The remedy: a push or an adoption, as the entry says. Each request is about one workflow."""

from collections.abc import Sequence

from tasks.canvas import adopting, pushing
from tasks.canvas.entry import CanvasEntry
from tasks.canvas.world import ADOPTABLE, PUSHABLE, look_at
from tasks.context import ApplyContext, Context
from tasks.job import Params
from tasks.model import Finding, Plan, ProbeVerdict, Receipt, Simulation, Step, Verification

_OF_GIT = frozenset({adopting.ADOPT, adopting.DROP_BRANCH})


class Mending:
    """Remedy of `canvas`. The entry's `mend` says which side is right: one request, that a yes or a no answers."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:  # noqa: ARG002
        """See `tasks.job.Remedy`."""
        [entry] = ctx.entries(CanvasEntry)
        mended = {"push": PUSHABLE, "adopt": ADOPTABLE, None: frozenset[str]()}[entry.mend]
        asked = [finding for finding in findings if finding.reason in mended and "workflow" in finding.evidence]
        if not asked:
            return None
        world = look_at(ctx, entry, str(asked[0].evidence["workflow"]))
        keys = [finding.key for finding in asked]
        if entry.mend == "push":
            return pushing.propose(world, keys)
        return adopting.propose(world, keys, published=asked[0].reason == "published_differs")

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        """See `tasks.job.Remedy`."""
        return adopting.apply(ctx, step) if step.action in _OF_GIT else pushing.apply(ctx, step)

    def still(self, ctx: Context, step: Step) -> bool:
        """Just before a step: is everything as it was pinned?"""
        return adopting.still(ctx, step) if step.action in _OF_GIT else pushing.still(ctx, step)

    def verify(self, ctx: Context, plan: Plan, receipts: Sequence[Receipt]) -> Verification:  # noqa: ARG002 - it trusts none
        """See `tasks.job.Remedy`."""
        [step] = plan.steps
        return adopting.verify(ctx, step) if step.action in _OF_GIT else pushing.verify(ctx, step)

    def probe(self, ctx: Context, step: Step) -> ProbeVerdict:
        """See `tasks.job.Remedy`."""
        return adopting.probe(ctx, step) if step.action in _OF_GIT else pushing.probe(ctx, step)

    def undo(self, step: Step, receipt: Receipt) -> Step | None:
        """See `tasks.job.Remedy`. An undoing is not undone: what it left is found, and asked about, as drift."""
        if step.action == pushing.PUSH:
            return pushing.undo(step)
        return adopting.undo(step, receipt) if step.action == adopting.ADOPT else None
