"""Does it fit what it stands among?"""

from collections.abc import Iterator, Mapping

from tasks.providers.n8n.errors import WorkflowError
from tasks.providers.n8n.folder import order
from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.workflow import ERROR_TRIGGER, REFERENCE, SUB_WORKFLOW_TRIGGER, Workflow


@rule(
    "one-name-twice",
    "error",
    why="References go by name: nobody could tell which is meant.",
    mend="Rename one in its file.",
)
def _one_name_twice(_: View) -> Iterator[Find]:
    # Seen where the folder is read.
    return iter(())


@rule(
    "unknown-workflow",
    "warning",
    why="If n8n does not have it either, the call fails at run time; push looks, n8n itself does not.",
    mend="Add the file of that workflow, or correct the reference.",
)
def _unknown_workflow(view: View) -> Iterator[Find]:
    for where, target in _references(view.workflow):
        if target.startswith(REFERENCE) and view.whole_folder and target.removeprefix(REFERENCE) not in view.others:
            yield where, f"there is no file {target.removeprefix(REFERENCE)}.json here"


@rule(
    "workflow-by-id",
    "warning",
    why="The id belongs to one n8n; on every other it names nothing, or another workflow.",
    mend="Export that workflow into this folder, too, and run nightshift n8n fmt on both; or write wf:its_name.",
)
def _by_id(view: View) -> Iterator[Find]:
    for where, target in _references(view.workflow):
        if not target.startswith(REFERENCE):
            yield where, f"names a workflow by the id {target!r}"


@rule(
    "circle",
    "error",
    why="n8n publishes a caller only after what it calls: none of these could be first.",
    mend="Let one of them call a third, or pass its result back instead of calling.",
)
def _circle(view: View) -> Iterator[Find]:
    try:
        order(view.others)
    except WorkflowError as error:
        if f"{view.workflow.slug} →" in str(error):
            yield "", str(error)


@rule(
    "not-callable",
    "error",
    why="n8n calls a workflow only through this trigger, and only if it is published.",
    mend="Add the trigger 'When Executed by Another Workflow' to it, and take `active: false` away.",
)
def _not_callable(view: View) -> Iterator[Find]:
    for node, target in view.workflow.calls():
        callee = view.others.get(target.removeprefix(REFERENCE))
        if callee and not (
            callee.published and any(each.type == SUB_WORKFLOW_TRIGGER and not each.disabled for each in callee.nodes)
        ):
            yield node.name, f"calls {callee.slug}, which cannot be called"


@rule(
    "no-error-workflow",
    "warning",
    why="A run that fails at night fails unseen.",
    mend='Settings: "errorWorkflow": "wf:…", naming a workflow with an Error Trigger.',
)
def _no_error_workflow(view: View) -> Iterator[Find]:
    handles = any(node.type == ERROR_TRIGGER for node in view.workflow.nodes)
    if not handles and not view.workflow.settings.get("errorWorkflow"):
        yield "settings.errorWorkflow", "is not set"


@rule(
    "deaf-error-workflow",
    "error",
    why="n8n calls an error workflow only if it has an Error Trigger and is published, and does not say when it does not.",
    mend="Add an Error Trigger to it, take `active: false` away, or name another one.",
)
def _deaf(view: View) -> Iterator[Find]:
    named = str(view.workflow.settings.get("errorWorkflow", ""))
    handler = view.others.get(named.removeprefix(REFERENCE)) if named.startswith(REFERENCE) else None
    if handler and not (handler.published and any(node.type == ERROR_TRIGGER and not node.disabled for node in handler.nodes)):
        yield "settings.errorWorkflow", f"{handler.slug} has no Error Trigger, or is not to be published"


@rule(
    "webhook-path-twice",
    "error",
    why="n8n refuses to publish the second workflow with the same method and path.",
    mend="Give each webhook a path of its own.",
)
def _webhook_twice(view: View) -> Iterator[Find]:
    others = [each for slug, each in sorted(view.others.items()) if slug != view.workflow.slug]
    taken = {place: f"{each.slug}: {name}" for each in others for place, name in _webhooks(each)}
    seen: dict[str, str] = {}
    for place, name in _webhooks(view.workflow):
        other = taken.get(place) or seen.get(place)
        if other:
            yield name, f"{place} belongs to {other}, too"
        seen[place] = name


@rule(
    "each-loses-results",
    "error",
    why="With mode 'each' the caller goes on after the first sub-workflow that waited; the other results are lost, with success.",
    mend="Use mode 'once' inside a Loop Over Items, or send all items in one request.",
)
def _each(view: View) -> Iterator[Find]:
    for node, target in view.workflow.calls():
        callee = view.others.get(target.removeprefix(REFERENCE))
        if node.parameters.get("mode") == "each" and callee and any(each.kind == "wait" for each in callee.nodes):
            yield node.name, f"runs {callee.slug} once per item, and that waits"


def _references(workflow: Workflow) -> Iterator[tuple[str, str]]:
    for node, target in workflow.calls():
        yield node.name, target
    error = str(workflow.settings.get("errorWorkflow", ""))
    if error:
        yield "settings.errorWorkflow", error


def _webhooks(workflow: Workflow) -> Iterator[tuple[str, str]]:
    for node in workflow.nodes:
        path = node.parameters.get("path")
        if node.kind == "webhook" and not node.disabled and isinstance(path, str) and path and not isinstance(path, Mapping):
            yield f"{node.parameters.get('httpMethod', 'GET')} {path.strip('/')}", node.name
