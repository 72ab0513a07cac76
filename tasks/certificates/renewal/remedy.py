"""The remedy itself: plan, apply, look again, and what became of a step whose outcome nobody wrote down."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from tasks.certificates.entry import CertificateEntry, CertificatesParams, split_place
from tasks.certificates.evidence import recheck
from tasks.certificates.judging import Thresholds
from tasks.certificates.looking import thresholds
from tasks.certificates.renewal.orders import RENEW, order
from tasks.certificates.renewal.planning import plan_of, prospect
from tasks.certificates.renewal.running import run
from tasks.certificates.renewal.simulating import simulate
from tasks.certificates.renewal.verifying import Pins, Standing, standings, verification
from tasks.certificates.renewal.world import Leaf, World, file_leaf, look_around
from tasks.context import ApplyContext, Context
from tasks.errors import EntryError, ProviderError, StepFailed
from tasks.model import (
    Finding,
    Json,
    Plan,
    ProbeVerdict,
    Receipt,
    Simulation,
    Step,
    Verification,
    VerificationVerdict,
)

_PLAIN = CertificatesParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Remedy of `certificates`. The looks of a verification are `pause` apart, on `monotonic` and `sleep`."""

    pause: timedelta = timedelta(seconds=0.5)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def plan(self, ctx: Context, params: CertificatesParams, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        """See `tasks.job.Remedy`."""
        made = prospect(ctx, params, findings)
        if made is None:
            return None
        plan = plan_of(made, findings)
        return plan, simulate(made, plan, ctx.clock())

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        """One command, the one that was approved: an entry that says another by now is refused."""
        entry = _entry(ctx, step.arguments.get("entry"))
        if order(entry, step.action) != step.arguments:
            raise StepFailed(f"{step.action} of {step.target} was not started: the estate says another command than was approved")
        proof = run(ctx, entry, step.action)
        if leaf := file_leaf(ctx, entry, thresholds(entry, _PLAIN)):
            not_after = leaf.not_after.isoformat() if leaf.not_after else None
            proof |= {"certificate_file": {"sha256": leaf.sha256, "not_after": not_after}}
        return Receipt(step=step.id, at=ctx.clock(), proof=proof)

    def still(self, ctx: Context, step: Step) -> bool:
        """The first step must find every address, and the file, as they were pinned; a reload comes after they changed."""
        entry = _entry(ctx, step.arguments.get("entry"))
        if not step.precondition:
            return True
        pins = Pins.of(step.before)
        world = _world(ctx, entry, pins, thresholds(entry, _PLAIN))
        if world.failures:
            raise ProviderError("; ".join(failure.detail for failure in world.failures.values()), stage="look", retryable=True)
        pinned = {address: leaf.sha256 for address, leaf in pins.leaves.items()}
        in_file = file_leaf(ctx, entry, thresholds(entry, _PLAIN))
        same_file = pins.in_file == (in_file.sha256 if in_file else None)
        return same_file and pinned == {address: leaf.sha256 for address, leaf in world.leaves().items()}

    def verify(self, ctx: Context, plan: Plan, receipts: Sequence[Receipt]) -> Verification:  # noqa: ARG002 - it trusts none
        """Looks until all is well, or the entry's `verify_timeout_seconds` are over; then the last look counts."""
        entry = _entry(ctx, plan.parameters.get("entry"))
        pins = Pins.of(plan.steps[0].before)
        limits = _limits(plan)
        give_up = self.monotonic() + entry.verify_timeout_seconds
        while True:
            seen = _look(ctx, entry, pins, limits)
            if seen.verdict is VerificationVerdict.VERIFIED or self.monotonic() >= give_up:
                return seen
            self.sleep(self.pause.total_seconds())
            ctx.checkpoint()

    def probe(self, ctx: Context, step: Step) -> ProbeVerdict:
        """The renewal by the file it writes, the reload by what is served."""
        entry = _entry(ctx, step.arguments.get("entry"))
        if step.action == RENEW:
            return _probe_file(file_leaf(ctx, entry, thresholds(entry, _PLAIN)), step)
        return _probe_servers(ctx, entry, Pins.of(step.before))

    def undo(self, step: Step, receipt: Receipt) -> None:  # noqa: ARG002 - whatever was done
        """Nothing: neither the old certificate nor its key is ours to bring back."""
        return


def _entry(ctx: Context, name: Json) -> CertificateEntry:
    found = next((entry for entry in ctx.entries(CertificateEntry) if entry.name == name), None)
    if found is None:
        raise EntryError(f"certificates: the estate has no entry {name!r} any more")
    return found


def _limits(plan: Plan) -> Thresholds:
    warn_below, critical_below = plan.parameters["warn_below"], plan.parameters["critical_below"]
    assert isinstance(warn_below, int | float)
    assert isinstance(critical_below, int | float)
    return Thresholds(warn_below=warn_below, critical_below=critical_below)


def _world(ctx: Context, entry: CertificateEntry, pins: Pins, limits: Thresholds) -> World:
    return look_around(ctx, entry, limits, also=[split_place(address, entry.port) for address in sorted(pins.leaves)])


def _look(ctx: Context, entry: CertificateEntry, pins: Pins, limits: Thresholds) -> Verification:
    try:
        return verification(pins, _world(ctx, entry, pins, limits), partial(recheck, entry))
    except ProviderError as error:
        return Verification(verdict=VerificationVerdict.CANNOT_TELL, detail=str(error))


def _probe_file(leaf: Leaf | None, step: Step) -> ProbeVerdict:
    if leaf is None:
        return ProbeVerdict.UNKNOWN
    pins = Pins.of(step.before)
    old = {known.sha256 for known in pins.leaves.values()} | {pins.in_file}
    if leaf.sha256 in old:
        return ProbeVerdict.DID_NOT
    later = all(leaf.ends > pins.leaves[address].ends for address in pins.due)
    return ProbeVerdict.HAPPENED if later else ProbeVerdict.UNKNOWN


def _probe_servers(ctx: Context, entry: CertificateEntry, pins: Pins) -> ProbeVerdict:
    try:
        stand = standings(pins, _world(ctx, entry, pins, thresholds(entry, _PLAIN)))
    except ProviderError:
        return ProbeVerdict.UNKNOWN
    due = {stand[address] for address in pins.due}
    if due <= {Standing.RENEWED, Standing.NOT_MENDED, Standing.WORSE}:
        return ProbeVerdict.HAPPENED
    return ProbeVerdict.DID_NOT if due == {Standing.UNCHANGED} else ProbeVerdict.UNKNOWN
