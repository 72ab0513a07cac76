"""Is it a graph that n8n can run?"""

import re
from collections import Counter
from collections.abc import Iterator

from tasks.providers.n8n.lint.rule import Find, View, rule, strings
from tasks.providers.n8n.workflow import STICKY, Workflow

_QUOTED = re.compile(r"""\$\((?:'([^'\\]+)'|"([^"\\]+)")\)""")


@rule(
    "node-name-twice",
    "error",
    why="Connections and expressions find a node by its name; with two of them n8n takes one.",
    mend="Rename one, in the connections and in expressions like $('Name'), too.",
)
def _node_names(view: View) -> Iterator[Find]:
    for name, count in Counter(node.name for node in view.workflow.nodes).items():
        if count > 1:
            yield name, f"{count} nodes have this name"


@rule(
    "node-id-twice",
    "error",
    why="A diff, a resume URL and n8n's history know a node by its id.",
    mend="Delete one of the ids; nightshift n8n fmt makes another.",
)
def _node_ids(view: View) -> Iterator[Find]:
    for node_id, count in Counter(node.id for node in view.workflow.nodes).items():
        if count > 1:
            names = ", ".join(node.name for node in view.workflow.nodes if node.id == node_id)
            yield names, f"share the id {node_id}"


@rule(
    "dangling-link",
    "error",
    why="n8n drops it without a word, and the branch ends there.",
    mend="Correct the node's name in `connections`, or delete the link.",
)
def _dangling(view: View) -> Iterator[Find]:
    names = {node.name for node in view.workflow.nodes}
    for link in view.workflow.links:
        for end in (link.source, link.target):
            if end not in names:
                yield f"link {link.source} → {link.target}", f"there is no node {end!r}"


@rule(
    "unknown-node-in-expression",
    "error",
    why="The expression fails at run time; the editor shows it only to whoever opens that node.",
    mend="Correct the name inside $('…').",
)
def _expressions(view: View) -> Iterator[Find]:
    names = {node.name for node in view.workflow.nodes}
    for node in view.workflow.nodes:
        # A quote inside a name is written with a backslash; such names are left alone.
        quoted = {found for _, text in strings(node.parameters) if text.startswith("=") for found in _QUOTED.findall(text)}
        for name in sorted({one or other for one, other in quoted} - names):
            yield node.name, f"refers to a node {name!r} that is not there"


@rule(
    "nothing-starts-it",
    "warning",
    why="Without a trigger it can be neither run nor called nor published.",
    mend="Add a trigger: Schedule, Webhook, Error, When Executed by Another Workflow, or Manual.",
)
def _no_trigger(view: View) -> Iterator[Find]:
    if not any(node.starts and not node.disabled for node in view.workflow.nodes):
        yield "", "has no trigger"


@rule(
    "never-reached",
    "warning",
    why="It looks like a part of the workflow and never runs.",
    mend="Connect it, or delete it.",
)
def _never_reached(view: View) -> Iterator[Find]:
    reached = reachable(view.workflow)
    for node in view.workflow.nodes:
        if node.name not in reached and node.type != STICKY and not node.disabled:
            yield node.name, "no trigger leads to it"


@rule(
    "execution-order",
    "warning",
    why="Without `v1` branches run in the order in which their lines were drawn, which nobody sees on the canvas.",
    mend='Settings: "executionOrder": "v1".',
)
def _order(view: View) -> Iterator[Find]:
    if view.workflow.settings.get("executionOrder") != "v1":
        yield "settings.executionOrder", "is not v1"


def reachable(workflow: Workflow) -> set[str]:
    """Names of the nodes that some trigger leads to, and of those that serve such a node (models, tools, memories)."""
    found = {node.name for node in workflow.nodes if node.starts}
    while True:
        more = {link.target for link in workflow.links if link.kind == "main" and link.source in found}
        more |= {link.source for link in workflow.links if link.kind != "main" and link.target in found}
        if more <= found:
            return found
        found |= more
