"""Will whoever opens it at night understand it?"""

from collections.abc import Iterator

from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.reading import on_grid
from tasks.providers.n8n.workflow import STICKY

_CODE_LINES = 10


@rule(
    "no-note",
    "warning",
    why="The canvas is where people look at night; what it does, when, and who approves should stand there.",
    mend="Add a sticky note 'Read me'.",
)
def _no_note(view: View) -> Iterator[Find]:
    if not any(node.type == STICKY for node in view.workflow.nodes):
        yield "", "has no sticky note"


@rule(
    "no-time-zone",
    "warning",
    why="A schedule without a time zone runs at another hour on another n8n.",
    mend='Settings: "timezone": "Europe/Berlin".',
)
def _no_zone(view: View) -> Iterator[Find]:
    if any(view.of("scheduleTrigger", "cron")) and not view.workflow.settings.get("timezone"):
        yield "settings.timezone", "is not set, and a schedule depends on it"


@rule(
    "off-grid",
    "warning",
    why="The first touch on the canvas moves every node onto a grid of 16 pixels, and the diff shows all of them.",
    mend="nightshift n8n fmt",
)
def _off_grid(view: View) -> Iterator[Find]:
    for node in view.raw["nodes"]:
        at = node.get("position") or (0, 0)
        if [on_grid(each) for each in at] != list(at):
            yield str(node["name"]), f"stands at {list(at)}"


@rule(
    "switched-off",
    "warning",
    why="A node that is switched off passes its items on, as if it had succeeded.",
    mend="Delete it, or switch it on.",
)
def _switched_off(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        if node.disabled:
            yield node.name, "is switched off"


@rule(
    "failure-passed-on",
    "warning",
    why="The next nodes run as if it had succeeded, with an item that holds the error.",
    mend="On Error: 'Continue (using error output)', and handle that output; or stop the workflow.",
)
def _swallowed(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        if node.conduct.get("onError") == "continueRegularOutput" or node.conduct.get("continueOnFail") is True:
            yield node.name, "goes on after an error"


@rule(
    "error-output-unused",
    "error",
    why="Items that failed go to the second output and end there, with success.",
    mend="Connect the error output.",
)
def _unused(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        outputs = {link.output for link in view.after(node.name) if link.kind == "main"}
        if node.conduct.get("onError") == "continueErrorOutput" and not outputs - {0}:
            yield node.name, "has an error output that leads nowhere"


@rule(
    "long-code",
    "warning",
    why="Code in a node has no tests, no review and no types.",
    mend=f"Keep it under {_CODE_LINES} lines, or make it a job of the worker.",
)
def _long_code(view: View) -> Iterator[Find]:
    for node in view.of("code", "function", "functionItem"):
        lines = max(str(node.parameters.get(key, "")).count("\n") + 1 for key in ("jsCode", "pythonCode", "functionCode"))
        if lines > _CODE_LINES:
            yield node.name, f"holds {lines} lines of code"
