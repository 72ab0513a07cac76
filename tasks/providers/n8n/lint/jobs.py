"""Does it speak to the gateway so that nothing is started twice, and nothing is lost?"""

import re
from collections.abc import Iterator, Mapping, Sequence

from tasks.providers.n8n.gateway import IN_FILES
from tasks.providers.n8n.lint.rule import Find, View, rule
from tasks.providers.n8n.workflow import Node

_WRITES = re.compile(r"/v1/(runs|asks?|approvals|batches)\b")
_KEY = "idempotency-key"
_PARTS = ("$execution.id", "$runIndex", "$itemIndex")


@rule(
    "no-idempotency-key",
    "error",
    why="A retry, by n8n or by the network, starts the job a second time.",
    mend=(
        "Header Idempotency-Key: =n8n/{{ $workflow.id }}/{{ $execution.id }}/<step>/{{ $runIndex }}/{{ $itemIndex }}; "
        "one request for all items needs no $itemIndex."
    ),
)
def _no_key(view: View) -> Iterator[Find]:
    for node in _calls(view):
        if _KEY not in headers_of(node):
            yield node.name, "sends no Idempotency-Key"


@rule(
    "idempotency-key-repeats",
    "error",
    why="In a loop every turn has item 0: without $runIndex the worker answers with the first run, and the second Wait hangs.",
    mend="Put $execution.id and $runIndex into the key; and $itemIndex, unless the node runs once for all items.",
)
def _key_repeats(view: View) -> Iterator[Find]:
    for node in _calls(view):
        key = headers_of(node).get(_KEY)
        once = node.conduct.get("executeOnce") is True
        missing = [part for part in _PARTS if key is not None and part not in key and not (once and part == "$itemIndex")]
        if missing:
            yield node.name, f"its Idempotency-Key lacks {', '.join(missing)}"


@rule(
    "no-credential",
    "error",
    why="The gateway answers 401, or the token stands somewhere in the file.",
    mend="Authentication: Generic, Header Auth, and the credential by its name.",
)
def _no_credential(view: View) -> Iterator[Find]:
    for node in _calls(view):
        if not node.credentials:
            yield node.name, "calls the gateway without a credential"


@rule(
    "no-retry",
    "warning",
    why="A gateway that restarts is away for seconds; the key makes a second try harmless.",
    mend="Settings of the node: Retry On Fail, 5 tries, 2000 ms.",
)
def _no_retry(view: View) -> Iterator[Find]:
    for node in _calls(view):
        if node.conduct.get("retryOnFail") is not True:
            yield node.name, "gives up at the first failure"


@rule(
    "callback-into-nowhere",
    "error",
    why="The resume URL of this execution resumes only a Wait node of this workflow.",
    mend="Add a Wait node (On Webhook Call) behind it, or do not send callback_url.",
)
def _no_wait(view: View) -> Iterator[Find]:
    waits = any(node.parameters.get("resume") == "webhook" for node in view.of("wait"))
    for node in view.of("httpRequest"):
        if "$execution.resumeUrl" in str(node.parameters) and not waits:
            yield node.name, "sends the resume URL, and nothing waits"


def _calls(view: View) -> Iterator[Node]:
    """Requests that make the gateway do something; others have a /v1/batches, too."""
    for node in view.of("httpRequest"):
        url = str(node.parameters.get("url", ""))
        ours = IN_FILES in url or any("nightshift" in name.lower() for name in node.credentials.values())
        if ours and node.parameters.get("method") == "POST" and _WRITES.search(url):
            yield node


def headers_of(node: Node) -> dict[str, str]:
    given = node.parameters.get("headerParameters")
    rows = given.get("parameters") if isinstance(given, Mapping) else None
    rows = rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ()
    return {str(row.get("name", "")).lower(): str(row.get("value", "")) for row in rows if isinstance(row, Mapping)}
