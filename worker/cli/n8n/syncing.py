"""`n8n pull` and `n8n push`."""

import sys
from pathlib import Path

import typer

from tasks.providers.n8n.errors import Refused
from tasks.providers.n8n.folder import Folder, load_folder, read_base, write_base, write_workflow
from tasks.providers.n8n.instance import look
from tasks.providers.n8n.lint import errors_in
from tasks.providers.n8n.planning import PushPlan, Write, plan_push
from tasks.providers.n8n.pulling import Side, carry_out_pull, plan_pull
from tasks.providers.n8n.pushing import Pushed, carry_out
from worker.cli.n8n.opening import n8n_api, node_types
from worker.cli.n8n.telling import change_json, say_changes
from worker.cli.printing import say, show_json

BACKUPS = ".n8n-backup"


def pull(path: Path, nodes: Path | None, tag: str | None, winner: Side | None, *, published: bool, as_json: bool) -> None:
    """Refused as a whole if both sides changed the same thing and nobody wins."""
    types = node_types(nodes)
    path.mkdir(parents=True, exist_ok=True)
    folder = load_folder(path, types)
    with n8n_api() as api:
        instance = look(api, types).tagged(tag)
    base = read_base(path, instance.url)
    pulls = plan_pull(folder, instance, base, published=published, clash=winner)
    carry_out_pull(folder, instance.url, base, pulls)
    if as_json:
        show_json([{"workflow": each.slug, "outcome": each.outcome, "file": str(each.path)} for each in pulls])
        return
    for each in pulls:
        say(f"{each.slug}: {_OUTCOMES[each.outcome]}{f' (was {each.replaces.name})' if each.replaces else ''}")
    say(f"{len(pulls)} workflows")


_OUTCOMES = {
    "same": "the same",
    "new": "new file",
    "taken": "changed in n8n: taken",
    "kept": "changed here only: kept",
    "merged": "changed on both sides: joined",
    "unpublished": "never published: left out",
}


def push(path: Path, nodes: Path | None, *, yes: bool, dry_run: bool, force: bool, prune: bool, as_json: bool) -> None:
    """Shows the plan; writes after a yes."""
    types = node_types(nodes)
    folder = load_folder(path, types)
    mistakes = errors_in(path, types)
    if mistakes:
        raise Refused((*mistakes, "nothing was written: `n8n lint` says how to mend each"))
    with n8n_api() as api:
        instance = look(api, types)
        base = read_base(path, instance.url)
        plan = plan_push(folder, instance, base, force=force, prune=prune)
        if not as_json:
            _say_plan(plan)
        if plan.refusals:
            raise Refused((*plan.refusals, "nothing was written"))
        if dry_run:
            _show(plan, None, as_json=as_json)
            return
        if plan.work and not (yes or _agreed()):
            raise Refused(("nothing was written: repeat with --yes",))
        _keep_copies(folder, plan)
        pushed = carry_out(api, plan, instance, types)
    gone = {write.held.id for write in plan.work if write.action == "archive" and write.held}
    write_base(path, instance.url, {**{slug: seen for slug, seen in base.items() if seen.id not in gone}, **pushed.seen})
    _show(plan, pushed, as_json=as_json)


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Write this to n8n?")


def _keep_copies(folder: Folder, plan: PushPlan) -> None:
    """What --force overwrites, in normal form; n8n keeps the version itself in its history, too."""
    for edit in plan.edits:
        (folder.path / BACKUPS).mkdir(exist_ok=True)
        place = folder.path / BACKUPS / f"{edit.slug}.{edit.held.version_id}.json"
        write_workflow(place, edit.held.draft)
        sys.stderr.write(f"kept what n8n held: {place}\n")


def _say_plan(plan: PushPlan) -> None:
    for edit in plan.edits:
        say(f"{edit.slug}: edited in n8n:")
        say_changes(edit.changes)
    for write in plan.writes:
        if write.action != "same" or plan.edits:
            say(f"{write.action} {write.slug}{_publishing(write)}")
            say_changes(write.changes)
    for tag in plan.new_tags:
        say(f"create tag {tag}")
    same = len(plan.writes) - len(plan.work)
    say(f"plan: {len(plan.work)} to write, {same} the same")


def _publishing(write: Write) -> str:
    return " and publish it" if write.action in ("create", "update") and write.workflow.to_publish else ""


def _show(plan: PushPlan, pushed: Pushed | None, *, as_json: bool) -> None:
    if as_json:
        plans = [
            {"workflow": each.slug, "action": each.action, "changes": [*map(change_json, each.changes)]} for each in plan.writes
        ]
        show_json({"plan": plans, "new_tags": list(plan.new_tags), "written": dict(pushed.written) if pushed else None})
    elif pushed:
        say(
            f"{len(pushed.written)} written, read again and the same as the files"
            if pushed.written
            else "n8n holds what the files say"
        )
