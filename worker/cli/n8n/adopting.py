"""`n8n adopt`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.providers.n8n.adopting import Commit, Repository
from tasks.providers.n8n.difference import Change, differences
from tasks.providers.n8n.errors import N8nForbidden, Refused
from tasks.providers.n8n.folder import Folder, load_folder, read_base
from tasks.providers.n8n.instance import Held, look
from tasks.providers.n8n.pulling import Pull, plan_pull
from tasks.providers.n8n.secrets import why_not_in_git
from tasks.providers.n8n.writing import render
from worker.cli.n8n.opening import n8n_api, node_types
from worker.cli.n8n.telling import line
from worker.cli.printing import say, show_json


def adopt(path: Path, branch: str | None, nodes: Path | None, tag: str | None, *, published: bool, as_json: bool) -> None:
    """A commit for each workflow that n8n holds otherwise than the files."""
    types = node_types(nodes)
    folder, repository = load_folder(path, types), Repository(path)
    with n8n_api() as api:
        instance = look(api, types).tagged(tag)
        users = _users(api)
    pulls = plan_pull(folder, instance, read_base(path, instance.url), published=published, clash="theirs")
    commits = [_commit(folder, each, users) for each in pulls if each.result is not None and (each.slug in folder.files or tag)]
    if not commits:
        show_json({"branch": None, "commits": []}) if as_json else say("n8n holds nothing that the files do not")
        return
    bad = [f"{each.slug}: n8n has two workflows of this name" for each in pulls if each.outcome == "two of a name"]
    bad += [told for each in commits if (told := why_not_in_git(each.path.stem, each.text))]
    if bad:
        raise Refused((*bad, "no branch was made"))
    name = branch or f"n8n/canvas-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    last = repository.make_branch(name, commits)
    if as_json:
        shown = [{"file": str(each.path), "author": each.author, "message": each.message} for each in commits]
        show_json({"branch": name, "commit": last, "commits": shown})
        return
    for each in commits:
        say(f"{each.path.name}: {each.message.splitlines()[0]}, by {each.author or 'whoever it was'}")
    say(f"branch {name}: {len(commits)} commits; look with `git log -p {name}`, then merge it")


def _commit(folder: Folder, pull: Pull, users: Sequence[dict[str, Any]]) -> Commit:
    assert pull.result is not None
    assert pull.held is not None
    file = folder.files.get(pull.slug)
    changes = differences(file.workflow, pull.result) if file else ()
    return Commit(pull.path, render(pull.result), pull.held.author, _email(pull.held, users), _message(pull, changes))


def _message(pull: Pull, changes: Sequence[Change]) -> str:
    assert pull.result is not None
    assert pull.held is not None
    lines = [f"{pull.result.name}: as edited in n8n", "", *map(line, changes)]
    return "\n".join([*lines, "", f"Saved in n8n {pull.held.updated_at}, version {pull.held.version_id}."]) + "\n"


def _email(held: Held, users: Sequence[dict[str, Any]]) -> str:
    """n8n tells authors by name alone; only a name that one user has is taken for that user."""
    same = [str(each.get("email", "")) for each in users if f"{each.get('firstName')} {each.get('lastName')}" == held.author]
    return same[0] if len(same) == 1 else ""


def _users(api: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - N8nApi, imported when it is called
    try:
        return list(api.users())
    except N8nForbidden:
        # Without the scope user:list the commits have names and no addresses.
        return []
