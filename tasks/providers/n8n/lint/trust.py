"""Does it keep secrets where they belong, and others out?"""

import re
from collections.abc import Iterator

from tasks.providers.n8n.lint.jobs import headers_of
from tasks.providers.n8n.lint.rule import Find, View, rule, strings
from tasks.providers.n8n.secrets import secrets_in

_RISKY = {
    "executeCommand": "runs a shell on n8n's machine",
    "ssh": "runs a shell on another machine",
    "localFileTrigger": "watches files of n8n's machine",
    "readWriteFile": "reads and writes files of n8n's machine",
    "readBinaryFile": "reads files of n8n's machine",
    "writeBinaryFile": "writes files of n8n's machine",
    "readBinaryFiles": "reads files of n8n's machine",
    "function": "is the Code node of the time before n8n 0.198",
    "functionItem": "is the Code node of the time before n8n 0.198",
    "git": "runs git on n8n's machine",
}
_SECRET_HEADER = re.compile(r"authorization|api[-_]?key|token|secret|password|cookie", re.IGNORECASE)
_CROSS_ORIGIN_SAFE = 4.4
_ENVIRONMENT = re.compile(r"\$env\b|\$vars\b|process\.env")


@rule(
    "secret",
    "error",
    why="Git keeps it for ever, and n8n stores it with every execution.",
    mend="Put it into a credential of n8n; and make a new one: this one is known now.",
)
def _secret(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        for path, text in strings(node.parameters):
            for found in secrets_in(text):
                yield node.name, f"{path} looks like a secret ({found})"


@rule(
    "secret-header",
    "error",
    why="Headers typed into a node are stored in clear with every execution; those of a credential are not.",
    mend="Authentication: Generic, Header Auth.",
)
def _header(view: View) -> Iterator[Find]:
    for node in view.of("httpRequest"):
        for name, value in headers_of(node).items():
            if _SECRET_HEADER.search(name) and not value.startswith("="):
                yield node.name, f"the header {name} is typed into the node"


@rule(
    "open-webhook",
    "warning",
    why="Whoever knows or guesses the path starts it.",
    mend="Authentication: Header Auth, with a credential.",
)
def _open_webhook(view: View) -> Iterator[Find]:
    for node in view.of("webhook", "formTrigger", "mcpTrigger"):
        if node.parameters.get("authentication", "none") == "none":
            yield node.name, "asks for no authentication"


@rule(
    "environment",
    "warning",
    why="n8n 2 denies $env to expressions by default, and $vars needs a licence: it fails on the next n8n.",
    mend="Put addresses and secrets into the credential, and constants into a Set node.",
)
def _env(view: View) -> Iterator[Find]:
    for node in view.workflow.nodes:
        for path, text in strings(node.parameters):
            # Outside an expression it is text, e.g. of a sticky note; a Code node's text is all expression.
            if _ENVIRONMENT.search(text) and (text.startswith("=") or node.kind == "code"):
                yield node.name, f"{path} reads the environment or n8n's variables"


@rule(
    "risky-node",
    "warning",
    why="Whoever may edit a workflow would own that machine; n8n 2 leaves some of these nodes out.",
    mend="Let a job of the worker do it: there it is named, limited and approved.",
)
def _risky(view: View) -> Iterator[Find]:
    for node in view.of(*_RISKY):
        yield node.name, _RISKY[node.kind]


@rule(
    "credential-follows-redirects",
    "warning",
    why="Before version 4.4 of the node a redirect to another host takes the credential with it.",
    mend=f"Use typeVersion {_CROSS_ORIGIN_SAFE}, or 'Send Credentials on Cross-Origin Redirect': off.",
)
def _redirects(view: View) -> Iterator[Find]:
    for node in view.of("httpRequest"):
        off = node.parameters.get("sendCredentialsOnCrossOriginRedirect") is False
        if node.credentials and node.version < _CROSS_ORIGIN_SAFE and not off:
            yield node.name, f"is version {node.version:g} with a credential"


@rule(
    "certificate-not-checked",
    "warning",
    why="Anybody on the way can read the credential and the answer.",
    mend="Give n8n the certificate of your authority (NODE_EXTRA_CA_CERTS) and switch the option off.",
)
def _unchecked(view: View) -> Iterator[Find]:
    for node in view.of("httpRequest"):
        options = node.parameters.get("options")
        if "allowUnauthorizedCerts" in str(options) and any(
            value is True for value in (options.values() if isinstance(options, dict) else ())
        ):
            yield node.name, "accepts any certificate"
