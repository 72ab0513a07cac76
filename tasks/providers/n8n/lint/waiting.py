"""Will every Wait be resumed once, by its own callback?"""

from collections.abc import Iterator, Mapping

from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.workflow import Node

_LISTS = {"splitOut", "itemLists", "spreadsheetFile", "extractFromFile", "rssFeedRead", "googleSheets", "postgres", "mySql"}
"""Nodes that usually give more than one item."""
_ONE_BY_ONE = {"splitInBatches", "aggregate", "summarize", "limit"}
"""After these there is one item at a time, or one for all."""


@rule(
    "wait-limit",
    "warning",
    why="A callback that never comes leaves the execution waiting for ever; nobody is told.",
    mend="Switch on 'Limit Wait Time' and handle the case that nothing came ($json.body is empty then).",
)
def _limit(view: View) -> Iterator[Find]:
    for node in _waits(view):
        if not node.parameters.get("limitWaitTime"):
            yield node.name, "waits without a limit"


@rule(
    "wait-suffix",
    "error",
    why="All Waits of an execution share one resume URL: a callback sent twice to the first one resumes the second.",
    mend="Options, Webhook Suffix: another one for each Wait; and send it with the resume URL.",
)
def _suffix(view: View) -> Iterator[Find]:
    waits = list(_waits(view))
    suffixes = [_option(node, "webhookSuffix") for node in waits]
    for node, suffix in zip(waits, suffixes, strict=True):
        if len(waits) > 1 and (not suffix or suffixes.count(suffix) > 1):
            yield node.name, "has no webhook suffix of its own, and is not the only Wait"


@rule(
    "many-into-one-wait",
    "warning",
    why="The first callback resumes the Wait for all items; the results of the others are lost, with success.",
    mend="Put a Loop Over Items before it, or send all items in one request with one callback.",
)
def _many(view: View) -> Iterator[Find]:
    for node in view.of(*_LISTS):
        for found in _flows(view, node.name):
            if found.kind == "wait" and _resumed(found):
                yield found.name, f"may get several items at once, from {node.name}"


@rule(
    "answer-before-the-wait",
    "warning",
    why="'When last node finishes' answers with what was there before the Wait, at once.",
    mend="Answer with a Respond to Webhook node, or immediately.",
)
def _last_node(view: View) -> Iterator[Find]:
    for node in view.of("webhook"):
        if node.parameters.get("responseMode") == "lastNode" and any(map(_resumed, view.of("wait"))):
            yield node.name, "answers with the last node's result, and the workflow waits"


@rule(
    "wait-answers-get",
    "warning",
    why="A link that is looked at (by a mail scanner, a chat preview) resumes it.",
    mend="HTTP Method: POST.",
)
def _get(view: View) -> Iterator[Find]:
    for node in _waits(view):
        if node.parameters.get("resume") == "webhook" and node.parameters.get("httpMethod", "GET") == "GET":
            yield node.name, "is resumed by a GET"


def _waits(view: View) -> Iterator[Node]:
    return filter(_resumed, view.of("wait"))


def _resumed(node: Node) -> bool:
    return node.parameters.get("resume") in ("webhook", "form")


def _option(node: Node, name: str) -> object:
    options = node.parameters.get("options")
    return options.get(name) if isinstance(options, Mapping) else None


def _flows(view: View, start: str) -> Iterator[Node]:
    """Nodes that get the items of `start`, as far as nothing takes them one by one."""
    seen, ahead = {start}, [start]
    while ahead:
        for link in view.after(ahead.pop()):
            node = view.workflow.node(link.target)
            if node and node.name not in seen:
                seen.add(node.name)
                yield node
                if node.kind not in _ONE_BY_ONE:
                    ahead.append(node.name)
