"""What could be done about drift: put the cloud back, or take it into the state. Plans and shows; carries out nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.context import Artifact, Context
from tasks.drift.check import Check, Seen
from tasks.drift.classes import Class, Classified
from tasks.drift.entry import DriftEntry, DriftParams
from tasks.drift.findings import ADOPTED, DRIFT, Sight, in_the_cloud, key_of
from tasks.drift.patching import patch
from tasks.drift.sets import by_key, differences
from tasks.drift.simulating import Shown, simulate
from tasks.drift.steps import accepting, reverting
from tasks.drift.telling import shown_url
from tasks.model import Finding, Plan, Simulation, Step
from tasks.stacks import Look, Looked, ResourceChange

REVERT, ACCEPT = "revert", "accept"
_MOST_TARGETS = 1000
"""Beyond, a plan is nothing that people can read."""


@dataclass(frozen=True, slots=True)
class Proposing:
    """Proposer of `drift`: `seen` holds what the check of the same run saw."""

    check: Check
    seen: Seen

    def plan(self, ctx: Context, params: DriftParams, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        """None where a person must think first: a conflict, a property that flips, credentials in doubt, no program."""
        verb = _verb(ctx, findings)
        sight = self._sight(ctx, params) if verb else None
        if verb is None or sight is None or sight.blamed or sight.seen.state.lock is not None:
            return None
        doubtful = _doubtful(sight)
        rows = [one for one in _rows(sight, findings) if one.urn not in doubtful]
        if not rows or len({one.urn for one in rows}) > _MOST_TARGETS:
            return None
        return _revert(ctx, sight, rows, findings) if verb == REVERT else _accept(ctx, sight, rows, findings)

    def _sight(self, ctx: Context, params: DriftParams) -> Sight | None:
        (entry,) = ctx.entries(DriftEntry)
        sight = self.seen.take(ctx, entry)
        if sight is None:
            for _ in self.check(ctx, params.model_copy(update={"full": True})):
                ctx.checkpoint()
            sight = self.seen.take(ctx, entry)
        return sight


def _verb(ctx: Context, findings: Sequence[Finding]) -> str | None:
    reasons = {finding.reason for finding in findings}
    (entry,) = ctx.entries(DriftEntry)
    if reasons == {ADOPTED}:
        return ACCEPT
    return entry.proposes if reasons == {DRIFT} and entry.stack else None


def _rows(sight: Sight, findings: Sequence[Finding]) -> list[Classified]:
    """What the findings speak of, as it is now: drift that moved on since has another key."""
    keys = {finding.key for finding in findings}
    return [one for why, group in in_the_cloud(sight) if key_of(why, group) in keys for one in group]


def _doubtful(sight: Sight) -> set[str]:
    """Resources of which something is open: Pulumi repairs, and takes into the state, whole resources only."""
    seen = sight.seen
    open_here = {one.urn for one in sight.found if one.why in (Class.CONFLICT, Class.UNKNOWN)}
    failed = {failure.urn for look in (seen.d, seen.u, seen.r) if look for failure in look.failed}
    moving = {key.rpartition("#")[0] for key in (*seen.unsettled, *sight.flapping)}
    begun = {operation[operation.find("urn:") :] for operation in seen.state.pending_operations}
    return open_here | failed | moving | begun


def _revert(
    ctx: Context, sight: Sight, rows: Sequence[Classified], findings: Sequence[Finding]
) -> tuple[Plan, Simulation] | None:
    targets = {one.urn for one in rows}
    look, plan_file = _simulated(ctx, sight, rows) or (None, None)
    changes = [change for change in look.changes if change.urn in targets] if look else []
    if {change.urn for change in changes} != targets:
        ctx.log.warning("not_proposed", subject=sight.place, why="looked at again, program and cloud do not say the same of it")
        return None
    plan = _plan(sight, REVERT, reverting(changes, rows), findings)
    return plan, simulate(Shown(sight=sight, plan=plan, rows=rows, kept=_kept(ctx, sight, plan_file)), ctx.stacks.version())


def _simulated(ctx: Context, sight: Sight, rows: Sequence[Classified]) -> tuple[Look, Path | None] | None:
    """R, about these resources alone: what is not deployed elsewhere must not go with a repair."""
    seen, targets = sight.seen, {one.urn for one in rows}
    elsewhere = [change for change in seen.r.changes if change.urn not in targets] if seen.r else []
    if seen.r is not None and _agrees(seen.r, rows) and not any(_is_real(one) for one in elsewhere):
        return seen.r, seen.plan_file
    if sight.stack.source is None:
        return None
    plan_file = ctx.scratch / "plan-targeted.json"
    look = ctx.stacks.look(
        sight.stack,
        Looked.R,
        deadline=sight.entry.deadline,
        scratch=ctx.scratch,
        cancelled=ctx.cancelled,
        save_plan=plan_file,
        targets=sorted(targets),
    )
    same_state = {look.state_before, look.state_after} == {seen.state.sha256}
    return (look, plan_file) if same_state and _agrees(look, rows) else None


def _agrees(r: Look, rows: Sequence[Classified]) -> bool:
    """Whether the look was made at the same cloud: on the way it saw the drift just as D did."""
    refreshed = by_key(differences(r.refreshed))
    return r.complete and all(refreshed.get(one.key) == one.fingerprint for one in rows)


def _is_real(change: ResourceChange) -> bool:
    """Whether it would do something: outputs of the stack follow by themselves."""
    return change.type != "pulumi:pulumi:Stack"


def _accept(
    ctx: Context, sight: Sight, rows: Sequence[Classified], findings: Sequence[Finding]
) -> tuple[Plan, Simulation] | None:
    plan = _plan(sight, ACCEPT, accepting(rows), findings)
    wanted = [one for one in rows if one.why is Class.DRIFT]
    shown = Shown(sight=sight, plan=plan, rows=rows, patch=patch(sight.stack, wanted) if wanted else None)
    return plan, simulate(shown, ctx.stacks.version())


def _plan(sight: Sight, verb: str, steps: Sequence[Step], findings: Sequence[Finding]) -> Plan:
    return Plan(
        job="drift",
        scope=sight.stack.full_name,
        account=f"the credentials of entry {sight.entry.name}",
        finding_keys=tuple(sorted(finding.key for finding in findings)),
        steps=tuple(steps),
        parameters={
            "verb": verb,
            "stack": sight.stack.full_name,
            "backend": shown_url(sight.stack.backend.url),
            "targets": sorted({step.target for step in steps}),
        },
    )


def _kept(ctx: Context, sight: Sight, plan_file: Path | None) -> Artifact | None:
    """Pulumi's own plan: the one to be carried out, since no two are the same. It holds values, some of them secret."""
    if plan_file is None or not plan_file.exists():
        return None
    try:
        content = plan_file.read_bytes()
        return ctx.artifacts.put(f"{sight.entry.name}.plan.json", content, media_type="application/json", secret=True)
    except ValueError as error:
        ctx.log.warning("plan_not_kept", subject=sight.place, why=str(error))
        return None
