"""Push: n8n gets what the file says, one workflow at a time; and put back: what it held before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.canvas.entry import CanvasEntry
from tasks.canvas.telling import diff_lines
from tasks.canvas.world import World, digest, entry_of, fingerprint, look_at, pins_of, world_of
from tasks.context import ApplyContext, Context
from tasks.errors import ProviderError, StepFailed
from tasks.model import (
    Json,
    Plan,
    ProbeVerdict,
    Receipt,
    Reversibility,
    Simulation,
    Step,
    Verification,
    VerificationVerdict,
)
from tasks.providers.n8n.adopting import commit_of
from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.difference import differences
from tasks.providers.n8n.errors import PushFailed, Refused, WorkflowError
from tasks.providers.n8n.folder import read_base
from tasks.providers.n8n.instance import look
from tasks.providers.n8n.lint import errors_in
from tasks.providers.n8n.planning import PushPlan, Write, plan_push
from tasks.providers.n8n.pushing import carry_out
from tasks.providers.n8n.reading import read_workflow
from tasks.providers.n8n.secrets import secrets_in
from tasks.providers.n8n.workflow import Workflow
from tasks.providers.n8n.writing import as_json

PUSH, PUT_BACK = "push", "put_back"
_NOT_KEPT = "not kept"
_GONE = "n8n's version holds what looks like a secret: only n8n's version history keeps it, and nothing here can put it back."
_MEANWHILE = "What the workflow does from the push on, until it is put back, cannot be taken back."


def propose(world: World, keys: Sequence[str]) -> tuple[Plan, Simulation] | None:
    """None: n8n holds and runs what the file says, or there is no file. Raises `Refused` for a push that would be refused."""
    file = world.file
    if file is None:
        return None
    push = _push_plan(world)
    if not push.work:
        return None
    [write] = push.work
    former = _former(world)
    step = Step(
        id=PUSH,
        action=PUSH,
        target=world.slug,
        arguments=_order(world.entry) | {"former": former},
        before=world.pins(),
        after=_wanted(world),
        precondition=fingerprint(world.pins()),
        reversibility=Reversibility.R3 if former == _NOT_KEPT else Reversibility.R1,
    )
    plan = Plan(
        job="canvas",
        scope=world.entry.url,
        account=f"the n8n user of {world.entry.write_api_key}",
        finding_keys=tuple(sorted(keys)),
        steps=(step,),
        parameters={"entry": world.entry.name},
    )
    return plan, _simulation(world, write, former)


def apply(ctx: ApplyContext, step: Step) -> Receipt:
    """The whole push or nothing. Raises `StepFailed` when n8n is as it was, `PushFailed` when it may not be."""
    entry = entry_of(ctx, step)
    if _order(entry) != {name: step.arguments[name] for name in _order(entry)}:
        raise _not_begun(step, "the estate names another n8n, gateway or key than was approved")
    try:
        key = ctx.secrets(entry.write_api_key or "")
    except ProviderError as error:
        raise _not_begun(step, str(error)) from None
    with N8nApi(entry.url, key, gateway=entry.gateway_url) as api:
        try:
            world = world_of(entry, step.target, look(api))
            plan = None if _as_after(world, step) else _plan_of(world, step)
        except (ProviderError, WorkflowError) as error:
            raise _not_begun(step, str(error)) from None
        if plan is not None:
            _carry_out(api, plan, world, step)
        now = world_of(entry, step.target, look(api))
    return Receipt(step=step.id, at=ctx.clock(), proof={**now.pins(), **now.versions()})


def still(ctx: Context, step: Step) -> bool:
    """Nobody has changed, in n8n, what the step is about to change."""
    return _as_before(look_at(ctx, entry_of(ctx, step), step.target), step)


def verify(ctx: Context, step: Step) -> Verification:
    """Draft and published version, read again with the key that only reads."""
    try:
        world = look_at(ctx, entry_of(ctx, step), step.target)
    except (ProviderError, WorkflowError) as error:
        return Verification(verdict=VerificationVerdict.CANNOT_TELL, detail=str(error))
    seen = {**world.pins(), **world.versions()}
    if _as_after(world, step):
        verdict, told = VerificationVerdict.VERIFIED, "as approved, read again"
    elif _as_before(world, step):
        verdict, told = VerificationVerdict.UNCHANGED, "as before"
    else:
        by = f", saved by {world.held.author}" if world.held and world.held.author else ""
        verdict, told = VerificationVerdict.PARTIAL, f"neither as before nor as approved{by}"
    return Verification(verdict=verdict, detail=f"{step.target}: draft and published version are {told}", evidence=seen)


def probe(ctx: Context, step: Step) -> ProbeVerdict:
    """By the content. A write cut off half-way (updated, not published) is neither, and a person's.

    A request that our death left with n8n is carried out within moments; a lease is longer.
    """
    world = look_at(ctx, entry_of(ctx, step), step.target)
    if _as_after(world, step):
        return ProbeVerdict.HAPPENED
    return ProbeVerdict.DID_NOT if _as_before(world, step) else ProbeVerdict.UNKNOWN


def undo(step: Step) -> Step | None:
    """What n8n held and ran before; what was not there is archived, from where n8n can take it back."""
    if step.arguments["former"] == _NOT_KEPT:
        return None
    return replace(
        step,
        id=f"undo-{step.id}",
        action=PUT_BACK,
        before=step.after,
        after=step.before,
        precondition=fingerprint(step.after),
        reversibility=Reversibility.R1,
    )


def _push_plan(world: World) -> PushPlan:
    """Raises `Refused`. An edit made in n8n does not refuse it: people are shown that edit, and it is pinned."""
    assert world.file is not None
    base = read_base(world.entry.folder, world.instance.url)
    plan = plan_push(world.alone(), world.instance, base, force=True)
    mistakes = errors_in(world.file.path)
    if plan.refusals or mistakes:
        raise Refused((*plan.refusals, *mistakes))
    return plan


def _plan_of(world: World, step: Step) -> PushPlan:
    if not _as_before(world, step):
        by = f" by {world.held.author}" if world.held and world.held.author else ""
        raise Refused((f"{step.target} was changed in n8n{by} since it was approved",))
    if step.action == PUT_BACK:
        return _way_back(world, step)
    if _wanted(world) != step.after:
        raise Refused((f"the file of {step.target} is not the one that was approved",))
    return _push_plan(world)


def _way_back(world: World, step: Step) -> PushPlan:
    # Of no file at all: whether this version of n8n may be written to.
    refusals = plan_push(replace(world.folder, files={}), world.instance, {}).refusals
    assert world.held is not None
    former = step.arguments["former"]
    if former is None:
        return PushPlan((Write(world.slug, "archive", world.held.draft, world.held),), refusals=refusals)
    assert isinstance(former, Mapping)
    draft = _read(former["draft"])
    live = _read(former["published"]) if former["published"] else None
    if live is not None and not differences(draft, live):
        write = Write(world.slug, "update", draft, world.held)
    else:
        write = Write(world.slug, "part", draft, world.held, live=live)
    return PushPlan((write,), tuple(sorted({*draft.tags} - world.instance.tags.keys())), refusals)


def _carry_out(api: N8nApi, plan: PushPlan, world: World, step: Step) -> None:
    try:
        carry_out(api, plan, world.instance)
    except Refused as error:
        raise StepFailed(f"nothing was written: {error}") from None
    except PushFailed as error:
        # A key that may not write may not put back either, and then there was nothing to put back.
        if error.left and not _as_before(world_of(world.entry, world.slug, look(api)), step):
            raise
        raise StepFailed(str(error)) from None


def _wanted(world: World) -> dict[str, Json]:
    """What n8n is to hold and run. A workflow that is not there yet gets an id from n8n."""
    assert world.file is not None
    workflow = world.file.workflow
    held_id = world.held.id if world.held else None
    return {"workflow_id": held_id, **pins_of(workflow, workflow if workflow.to_publish else None)}


def _as_before(world: World, step: Step) -> bool:
    return _same(world.pins(), step.before, step)


def _as_after(world: World, step: Step) -> bool:
    return _same(world.pins(), step.after, step)


def _same(now: Mapping[str, Json], pinned: Json, step: Step) -> bool:
    """Of a workflow that the push makes, or whose making is taken back, the id is n8n's choice."""
    assert isinstance(pinned, Mapping)
    made = step.arguments.get("former") is None
    return {**now, **({"workflow_id": None} if made else {})} == dict(pinned)


def _former(world: World) -> Json:
    """All that it takes to go back: the ledger keeps it, whatever n8n prunes from its history."""
    held = world.held
    if held is None:
        return None
    both = {"draft": as_json(held.draft), "published": as_json(held.published) if held.published else None}
    return _NOT_KEPT if any(secrets_in(json.dumps(both, ensure_ascii=False))) else both


def _read(told: Any) -> Workflow:  # noqa: ANN401 - JSON of a sealed plan
    return read_workflow(told, where="the plan")


def _order(entry: CanvasEntry) -> dict[str, Json]:
    return {"entry": entry.name, "url": entry.url, "gateway_url": entry.gateway_url, "key": entry.write_api_key}


def _not_begun(step: Step, why: str) -> StepFailed:
    return StepFailed(f"{step.action} of {step.target} was not begun: {why}")


def _simulation(world: World, write: Write, former: Json) -> Simulation:
    held, wanted = world.held, write.workflow
    lines = [f"{write.action} {world.slug} in n8n at {world.entry.url}, as {write.workflow.name!r}"]
    if held is not None:
        by = f" by {held.author}" if held.author else ""
        lines.append(f"n8n's draft was saved {held.updated_at}{by}; what differs from the file is overwritten:")
        lines += diff_lines(differences(replace(held.draft, published=held.published is not None), wanted))
        if held.published is not None and differences(held.draft, held.published):
            lines += ["", "what production runs now, against the file:", *diff_lines(differences(held.published, wanted))]
    after = "published: production runs it at once" if wanted.to_publish else "not published"
    lines += ["", f"Then the file's version is n8n's draft, and {after}. It is read again; if a write fails, all is put back."]
    return Simulation(
        summary=f"push {world.slug} to n8n {world.entry.name}",
        text="\n".join(lines),
        irreversible=(*([_MEANWHILE] if wanted.to_publish else []), *([_GONE] if former == _NOT_KEPT else [])),
        soft_pins={**world.versions(), "commit": commit_of(world.entry.folder), "file": digest(wanted)},
    )
