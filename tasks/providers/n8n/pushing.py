"""Carrying out a planned push: bottom-up, read again at the end, and put back as it was if anything fails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tasks.providers.n8n.api import N8nApi
from tasks.providers.n8n.binding import Ids, as_it_was, bind
from tasks.providers.n8n.difference import differences
from tasks.providers.n8n.errors import N8nError, PushFailed, Refused
from tasks.providers.n8n.folder import Seen
from tasks.providers.n8n.instance import Held, Instance, look
from tasks.providers.n8n.node_types import NodeTypes
from tasks.providers.n8n.planning import PushPlan, Write
from tasks.providers.n8n.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Pushed:
    """What n8n holds now, and how it got there."""

    written: Mapping[str, str]
    """Slug to action, for what was changed."""
    seen: Mapping[str, Seen]
    """The new base."""


@dataclass(frozen=True, slots=True)
class _Undo:
    what: str
    act: Callable[[], object] = field(repr=False)


class _Push:
    """One push on its way, with what it would take to go back."""

    def __init__(self, api: N8nApi, plan: PushPlan, instance: Instance) -> None:
        self._api = api
        self._plan = plan
        self._tags = dict(instance.tags)
        self._ids = {slug: held[0].id for slug, held in instance.by_slug().items()}
        credentials = {(each.type, each.name): each.id for each in instance.credentials}
        self._bound = Ids(self._ids, credentials, api.gateway)
        self._written: dict[str, str] = {}
        """Workflow id to the version that we left there."""
        self.undo: list[_Undo] = []

    def write_all(self) -> None:
        for tag in self._plan.new_tags:
            self._tags[tag] = made = self._api.create_tag(tag)
            self.undo.append(_Undo(f"tag {tag}", lambda made=made: self._api.delete_tag(made)))  # type: ignore[misc]
        for write in self._plan.work:
            match write.action:
                case "create":
                    self._create(write)
                case "archive":
                    self._archive(write)
                case _:
                    self._change(write)

    def _create(self, write: Write) -> None:
        made = self._api.create(bind(write.workflow, self._bound, {}))
        workflow_id = str(made["id"])
        self._ids[write.slug] = workflow_id
        self.undo.append(_Undo(write.slug, lambda: self._api.delete(workflow_id)))
        self._tag(write, workflow_id)
        if write.workflow.to_publish:
            self._api.publish(workflow_id)

    def _change(self, write: Write) -> None:
        held = write.held
        assert held is not None
        self._unchanged(held)
        # Remembered before the call: one that fails may have been carried out all the same.
        self.undo.append(_Undo(write.slug, lambda: self._restore(held)))
        if write.action == "part":
            self._part(write, held)
            return
        if write.action == "update":
            self._update(held, write.workflow)
        self._tag(write, held.id)
        if write.workflow.to_publish:
            self._publish(held.id)
        elif held.published is not None:
            self._api.unpublish(held.id)

    def _part(self, write: Write, held: Held) -> None:
        """An update publishes at once what is published: the draft must not be, so what is to run goes first."""
        live, version = write.live, held.published_version_id
        if held.published is not None:
            self._api.unpublish(held.id)
        if live is not None and (held.published is None or differences(held.published, live)):
            version = self._update(held, live)
        self._update(held, write.workflow)
        self._tag(write, held.id)
        if live is not None:
            self._api.publish(held.id, version)

    def _update(self, held: Held, workflow: Workflow) -> str:
        """The new version."""
        body = bind(workflow, self._bound, held.raw.get("settings") or {})
        self._written[held.id] = version = str(self._api.update(held.id, body)["versionId"])
        return version

    def _publish(self, workflow_id: str) -> None:
        now = self._api.workflow(workflow_id)
        if now.get("activeVersionId") != now["versionId"]:
            self._api.publish(workflow_id)

    def _archive(self, write: Write) -> None:
        held = write.held
        assert held is not None
        self._unchanged(held)
        self.undo.append(_Undo(write.slug, lambda: self._unarchive(held)))
        self._api.archive(held.id)

    def _unarchive(self, held: Held) -> None:
        self._api.unarchive(held.id)
        self._restore(held)

    def _tag(self, write: Write, workflow_id: str) -> None:
        had = write.held.draft.tags if write.held else ()
        if had != write.workflow.tags:
            self._api.set_tags(workflow_id, [self._tags[tag] for tag in write.workflow.tags])

    def _unchanged(self, held: Held) -> None:
        """n8n has no lock: this leaves the moment between our look and our write."""
        now = self._api.workflow(held.id)
        if (now["versionId"], now["updatedAt"]) != (held.version_id, held.updated_at):
            raise N8nError(f"{held.slug} was changed in n8n while the push was on its way; pull, then push again")

    def _restore(self, held: Held) -> None:
        now = self._api.workflow(held.id)
        if now["versionId"] not in (held.version_id, self._written.get(held.id, held.version_id)):
            raise N8nError("somebody changed it in n8n after our write; left as it is")
        # Published at once if it is published: a draft that differed must not be.
        clean = held.published_version_id == held.version_id
        if now.get("activeVersionId") and not clean:
            self._api.unpublish(held.id)
        self._api.update(held.id, as_it_was(held.raw, now.get("settings") or {}))
        if tuple(sorted(each["name"] for each in now.get("tags") or ())) != held.draft.tags:
            self._api.set_tags(held.id, [str(each["id"]) for each in held.raw.get("tags") or ()])
        if held.published_version_id is None:
            return
        if not clean:
            self._api.publish(held.id, held.published_version_id)
        elif not now.get("activeVersionId"):
            self._api.publish(held.id)


def carry_out(api: N8nApi, plan: PushPlan, instance: Instance, types: NodeTypes | None = None) -> Pushed:
    """Raises `Refused` before the first write, `PushFailed` after it; then n8n is as it was, but for what the error names."""
    if plan.refusals:
        raise Refused(plan.refusals)
    push = _Push(api, plan, instance)
    try:
        push.write_all()
        after = look(api, types)
        _verify(plan, after)
    except N8nError as error:
        raise _failed(push, str(error)) from error
    except BaseException:
        _put_back(push)
        raise
    return Pushed({each.slug: each.action for each in plan.work}, _seen(plan, after))


def _verify(plan: PushPlan, after: Instance) -> None:
    for write in plan.writes:
        found = after.named(write.slug)
        gone = "it is still there" if found else ""
        wrong = gone if write.action == "archive" else _amiss(write, found)
        if wrong:
            raise N8nError(f"{write.slug}: read again after the push, and {wrong}")


def _amiss(write: Write, found: tuple[Held, ...]) -> str:
    if len(found) != 1:
        return f"n8n has {len(found)} of this name"
    held = found[0]
    for side, wanted, what in (
        (held.draft, write.workflow, "draft"),
        (held.published, write.to_run, "published version"),
    ):
        if side is not None and wanted is not None:
            other = differences(replace(side, published=wanted.published), wanted)
            if other:
                return f"the {what} differs from what was to be written: {other[0].where}"
    if (write.to_run is None) != (held.published is None):
        return "it is still published" if write.to_run is None else "it is not published"
    return ""


def _seen(plan: PushPlan, after: Instance) -> dict[str, Seen]:
    kept = [each for each in plan.writes if each.action != "archive"]
    return {each.slug: Seen(after.named(each.slug)[0].id, each.workflow) for each in kept}


def _failed(push: _Push, cause: str) -> PushFailed:
    left = _put_back(push)
    if not push.undo:
        return PushFailed(f"{cause}; nothing had been written")
    if not left:
        return PushFailed(f"{cause}; what had been written was put back: n8n is as it was")
    return PushFailed(f"{cause}; could not be put back: {'; '.join(left)}", left)


def _put_back(push: _Push) -> tuple[str, ...]:
    left = []
    for undo in reversed(push.undo):
        try:
            undo.act()
        except N8nError as error:
            left.append(f"{undo.what} ({error})")
    return tuple(left)
