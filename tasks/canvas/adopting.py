"""Adopt: an edit made in n8n becomes a branch in git, for people to review and merge; and drop that branch again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.canvas.telling import diff_lines, line
from tasks.canvas.world import World, entry_of, fingerprint, look_at
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
from tasks.providers.n8n.adopting import Commit, Repository
from tasks.providers.n8n.difference import Change, differences, matters
from tasks.providers.n8n.errors import Refused, WorkflowError
from tasks.providers.n8n.secrets import secrets_in
from tasks.providers.n8n.workflow import Workflow
from tasks.providers.n8n.writing import render

ADOPT, DROP_BRANCH = "adopt", "drop_branch"
ACCOUNT = "the user of the worker that carries it out"
COMMITTER = "Nightshift"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Adoption:
    """What would be committed."""

    path: Path
    text: str
    base: str | None
    """The file's text in HEAD; None: a new file."""
    changes: tuple[Change, ...]
    """From the file to what n8n holds."""
    branch: str

    def before(self) -> dict[str, Json]:
        return {"file": _sha(self.base), "branch": None}

    def after(self) -> dict[str, Json]:
        return {"file": _sha(self.text), "branch": self.branch}


def propose(world: World, keys: Sequence[str], *, published: bool) -> tuple[Plan, Simulation] | None:
    """None: nothing to adopt, or it waits on its branch for somebody to merge it."""
    repository = Repository(world.entry.folder, COMMITTER)
    made = _adoption(world, repository, published=published)
    if made is None or repository.tip(made.branch) is not None:
        return None
    assert world.held is not None
    step = Step(
        id=ADOPT,
        action=ADOPT,
        target=world.slug,
        arguments={"entry": world.entry.name, "side": _side(published=published), "canvas": world.pins(), "file": made.path.name},
        before=made.before(),
        after=made.after(),
        precondition=fingerprint([made.before(), world.pins()]),
        reversibility=Reversibility.R1,
    )
    plan = Plan(
        job="canvas",
        scope=world.entry.url,
        account=ACCOUNT,
        finding_keys=tuple(sorted(keys)),
        steps=(step,),
        parameters={"entry": world.entry.name},
    )
    return plan, _simulation(world, repository, made, step)


def apply(ctx: ApplyContext, step: Step) -> Receipt:
    """One branch, or none: git makes it in its last move."""
    try:
        repository = Repository(entry_of(ctx, step).folder, COMMITTER)
        proof = _drop(ctx, repository, step) if step.action == DROP_BRANCH else _commit(ctx, repository, step)
    except (ProviderError, WorkflowError) as error:
        raise StepFailed(f"{step.action} of {step.target}: {error}") from None
    return Receipt(step=step.id, at=ctx.clock(), proof=proof)


def still(ctx: Context, step: Step) -> bool:
    """n8n and git hold what the branch would be made of; a branch to be dropped is there."""
    entry = entry_of(ctx, step)
    repository = Repository(entry.folder)
    if step.action == DROP_BRANCH:
        return _seen(ctx, repository, step) == step.before
    world = look_at(ctx, entry, step.target)
    made = _adoption(world, repository, published=_published(step))
    pinned = made is not None and (made.before(), made.after()) == (step.before, step.after)
    return pinned and world.pins() == step.arguments["canvas"] and repository.tip(_branch(step)) is None


def verify(ctx: Context, step: Step) -> Verification:
    """What git has now under the name of the branch."""
    try:
        repository = Repository(entry_of(ctx, step).folder)
        seen = _seen(ctx, repository, step)
        commit = repository.tip(_branch(step))
    except WorkflowError as error:
        return Verification(verdict=VerificationVerdict.CANNOT_TELL, detail=str(error))
    there = f"stands at {commit[:_DIGITS]}" if commit else "is not there"
    if _same(seen, step.after):
        verdict, told = VerificationVerdict.VERIFIED, "; it waits to be merged" if commit else ""
    elif _same(seen, step.before):
        verdict, told = VerificationVerdict.UNCHANGED, ""
    else:
        verdict, told = VerificationVerdict.PARTIAL, " with another file than was approved"
    detail = f"branch {_branch(step)} {there}{told}"
    return Verification(verdict=verdict, detail=detail, evidence={"branch": _branch(step), "commit": commit})


def probe(ctx: Context, step: Step) -> ProbeVerdict:
    """The branch is named by what it holds, and made or dropped in one move."""
    seen = _seen(ctx, Repository(entry_of(ctx, step).folder), step)
    if _same(seen, step.after):
        return ProbeVerdict.HAPPENED
    return ProbeVerdict.DID_NOT if _same(seen, step.before) else ProbeVerdict.UNKNOWN


def undo(step: Step, receipt: Receipt) -> Step:
    """The branch goes; what was merged of it meanwhile is for people to revert."""
    return replace(
        step,
        id=f"undo-{step.id}",
        action=DROP_BRANCH,
        arguments={**step.arguments, "commit": receipt.proof.get("commit")},
        before=step.after,
        after=step.before,
        precondition=fingerprint(step.after),
    )


def _adoption(world: World, repository: Repository, *, published: bool) -> Adoption | None:
    held = world.held
    theirs = (held.published if published else held.draft) if held else None
    if theirs is None:
        return None
    ours = world.file.workflow if world.file else None
    if published and held and ours and not matters(differences(ours, replace(held.draft, published=ours.published))):
        # Git has the draft already, and production lags behind: that is for people to publish, and not to adopt.
        return None
    # n8n's API neither lists nor sets descriptions: they live in the file.
    theirs = replace(theirs, description=ours.description if ours else theirs.description)
    changes = differences(ours, theirs) if ours else ()
    path, text = world.folder.place(theirs), render(theirs)
    base = repository.committed(path)
    if base == text or (ours is not None and not matters(changes)):
        return None
    _refuse_secrets(theirs, text)
    return Adoption(path, text, base, changes, f"n8n/{theirs.slug}-{_sha(text, base)[:_DIGITS]}")


def _refuse_secrets(workflow: Workflow, text: str) -> None:
    found = sorted(set(secrets_in(text)))
    if found:
        told = ", ".join(found)
        raise Refused(
            (f"{workflow.slug}: a node holds what looks like a secret ({told}): git keeps it for ever; use a credential",)
        )


def _commit(ctx: ApplyContext, repository: Repository, step: Step) -> dict[str, Json]:
    branch = _branch(step)
    tip = repository.tip(branch)
    if tip is None:
        world = look_at(ctx, entry_of(ctx, step), step.target)
        made = _adoption(world, repository, published=_published(step))
        if made is None or (made.before(), made.after()) != (step.before, step.after) or world.held is None:
            raise Refused(("n8n or git holds something else than was approved; no branch was made",))
        told = [
            f"{step.target}: as edited in n8n",
            "",
            *map(line, made.changes),
            "",
            f"Approved, and committed by run {ctx.run_id} of Nightshift.",
        ]
        commit = Commit(made.path, made.text, world.held.author, "", "\n".join(told) + "\n")
        tip = repository.make_branch(branch, [commit])
    elif not _same(_seen(ctx, repository, step), step.after):
        raise Refused((f"there is a branch {branch} with something else",))
    return {"branch": branch, "commit": tip}


def _drop(ctx: ApplyContext, repository: Repository, step: Step) -> dict[str, Json]:
    branch = _branch(step)
    tip = repository.tip(branch)
    if tip is not None:
        known = step.arguments.get("commit")
        ours = tip == known if known else repository.committer(tip) == COMMITTER
        if not ours or not _same(_seen(ctx, repository, step), step.before):
            raise Refused((f"somebody committed on {branch} since; it stays",))
        if repository.merged(tip):
            raise Refused((f"{branch} is merged: `git revert {tip}` takes the edit back, and this leaves it to people",))
        repository.drop_branch(branch, tip)
    return {"branch": branch, "dropped": tip}


def _seen(ctx: Context, repository: Repository, step: Step) -> dict[str, Json]:
    """As the pins of a step put it: the branch and the file on it, or in HEAD as long as there is no branch."""
    branch, folder = _branch(step), entry_of(ctx, step).folder
    tip = repository.tip(branch)
    text = repository.committed(folder / str(step.arguments["file"]), tip or "HEAD")
    return {"file": _sha(text), "branch": branch if tip else None}


def _same(seen: dict[str, Json], pinned: Json) -> bool:
    """Without a branch, whatever HEAD holds by now is not ours."""
    assert isinstance(pinned, dict)
    return seen == pinned if pinned["branch"] else seen["branch"] is None


def _branch(step: Step) -> str:
    for pins in (step.after, step.before):
        if isinstance(pins, dict) and pins["branch"]:
            return str(pins["branch"])
    raise WorkflowError(f"{step.id} names no branch")


def _side(*, published: bool) -> str:
    return "published" if published else "draft"


def _published(step: Step) -> bool:
    return step.arguments["side"] == _side(published=True)


def _sha(*texts: str | None) -> str:
    return hashlib.sha256("\0".join(text or "" for text in texts).encode()).hexdigest()


def _simulation(world: World, repository: Repository, made: Adoption, step: Step) -> Simulation:
    held = world.held
    assert held is not None
    by = f" by {held.author}" if held.author else ""
    saved = f"{step.arguments['side']}, saved {held.updated_at}{by}"
    lines = [
        f"a branch {made.branch} with one commit: {made.path.name} as n8n has it ({saved})",
        *(["+   a new file"] if made.base is None else diff_lines(made.changes)),
        "",
        "Nothing that is checked out changes, and n8n neither. People review the branch and merge it.",
    ]
    return Simulation(
        summary=f"adopt {world.slug} from n8n {world.entry.name} as a branch",
        text="\n".join(lines),
        soft_pins={**world.versions(), "commit": repository.head()},
    )
