"""Files for an n8n that was never started: its own command line imports and publishes them, and no API is needed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.providers.n8n.binding import Ids, bind
from tasks.providers.n8n.errors import Refused
from tasks.providers.n8n.folder import Folder, order
from tasks.providers.n8n.gateway import IN_FILES
from tasks.providers.n8n.workflow import Workflow, slug

_ID_LENGTH = 16
"""As long as those that n8n makes."""
HEADER_AUTH = "httpHeaderAuth"
_CALLED = ("webhook", "formTrigger", "wait")
"""Nodes whose credential says who may call them."""
SCRIPT = """#!/bin/sh
# Imports and publishes what lies beside it into an n8n that does not run. Safe to repeat; takes effect at n8n's next start.
# N8N: the command (default: n8n). N8N_USER_FOLDER and N8N_ENCRYPTION_KEY must be those that n8n will be started with.
# --once: nothing, if that n8n has had it; what people change on the canvas later stays. For an init container.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
n8n=${N8N:-n8n}
had=
if [ "${1:-}" = --once ]; then
  had=${N8N_USER_FOLDER:-$HOME}/.n8n/nightshift-first-boot
  [ ! -e "$had" ] || exit 0
  if [ -e "$here/used" ]; then
    # Executions count from 1 again in the new database: the old token's idempotency keys would answer for them.
    echo "$here: its token has served another database of n8n. Empty this folder, and build anew with --token." >&2
    exit 1
  fi
fi
filled=$(mktemp)
trap 'rm -f "$filled"' EXIT INT TERM
node "$here/fill-in.mjs" "$here" "$filled"
$n8n import:credentials --input="$filled"
rm -f "$filled"
$n8n import:workflow --separate --input="$here/workflows"
while read -r id; do
  $n8n publish:workflow --id="$id" </dev/null
done <"$here/publish.txt"
if [ -n "$had" ]; then
  : >"$here/used"
  : >"$had"
fi
"""
FILL_IN = """// credentials.json and secrets/ to one file for `n8n import:credentials`; the caller deletes it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const [here, out] = process.argv.slice(2);
const missing = [];
const filled = JSON.parse(readFileSync(`${here}/credentials.json`, 'utf8')).map(({ secret, ...credential }) => {
  const path = `${here}/secrets/${secret}`;
  if (!secret) return credential;
  if (!existsSync(path)) {
    missing.push(`${path}: write the value of the credential '${credential.name}' into this file`);
    return credential;
  }
  return { ...credential, data: { ...credential.data, value: readFileSync(path, 'utf8').trim() } };
});
if (missing.length) { console.error(missing.join('\\n')); process.exit(1); }
writeFileSync(out, JSON.stringify(filled), { mode: 0o600 });
"""


@dataclass(frozen=True, slots=True)
class Built:
    """Name in the folder to content, and what a person or the caller must add."""

    files: Mapping[str, str]
    gateway_secrets: tuple[str, ...]
    """Files under secrets/ that hold the `Bearer …` line for the gateway."""
    webhook_secrets: tuple[str, ...]
    """Files under secrets/ that hold what callers of a webhook must send."""
    other_secrets: tuple[str, ...]
    """Names of credentials of other types: to be filled in in n8n."""
    workflows: int


def first_boot(folder: Folder, gateway: str = IN_FILES) -> Built:
    """For an n8n that reaches ours at `gateway`. Raises `Refused` if something that a workflow needs has no file."""
    workflows = folder.workflows
    missing = [
        f"{slug}: needs {need}, which has no file here"
        for slug, each in workflows.items()
        for need in sorted(each.needs() - workflows.keys())
    ]
    deaf = [
        f"{slug}: needs {need}, which is not to be published"
        for slug, each in workflows.items()
        for need in sorted(each.needs() & workflows.keys())
        if each.to_publish and not workflows[need].to_publish
    ]
    if missing or deaf:
        raise Refused((*missing, *deaf, "nothing was built"))
    ids = {slug: workflow_id(slug) for slug in workflows}
    credentials = _credentials(workflows)
    bound = Ids(ids, {key: _made_id(f"credential {key}") for key in credentials}, gateway)
    files = {f"workflows/{slug}.json": _json(_importable(each, bound)) for slug, each in workflows.items()}
    files |= {
        "credentials.json": _json([_template(kind, name, called) for (kind, name), called in credentials.items()]),
        "publish.txt": "".join(f"{ids[slug]}\n" for slug in order(workflows) if workflows[slug].to_publish),
        "first-boot.sh": SCRIPT,
        "fill-in.mjs": FILL_IN,
        "secrets/.gitignore": "*\n",
    }
    headers = [(slug(name), called) for (kind, name), called in credentials.items() if kind == HEADER_AUTH]
    return Built(
        files,
        tuple(name for name, called in headers if not called),
        tuple(name for name, called in headers if called),
        tuple(name for kind, name in credentials if kind != HEADER_AUTH),
        len(workflows),
    )


def workflow_id(slug: str) -> str:
    """Always the same for the same name, so that what one workflow calls another by survives a second build."""
    return _made_id(f"workflow {slug}")


def _made_id(text: str) -> str:
    return "ns" + hashlib.sha256(text.encode()).hexdigest()[: _ID_LENGTH - 2]


def _credentials(workflows: Mapping[str, Workflow]) -> dict[tuple[str, str], bool]:
    """(type, name) to whether it guards a webhook of n8n, instead of being shown to the gateway."""
    found: dict[tuple[str, str], bool] = {}
    for workflow in workflows.values():
        for node in workflow.nodes:
            for kind, name in node.credentials.items():
                found[kind, name] = found.get((kind, name), False) or node.kind in _CALLED
    return dict(sorted(found.items()))


def _importable(workflow: Workflow, ids: Ids) -> dict[str, Any]:
    bound = bind(workflow, ids, {})
    # n8n's command line makes no two tags of one name; it knows them apart by their ids.
    tags = [{"id": _made_id(f"tag {tag}"), "name": tag} for tag in workflow.tags]
    described = {"description": workflow.description} if workflow.description else {}
    return {"id": ids.workflows[workflow.slug], **bound, **described, "tags": tags, "active": False}


def _template(kind: str, name: str, called: bool) -> dict[str, Any]:  # noqa: FBT001 - one internal call
    header = "X-Nightshift-Webhook" if called else "Authorization"
    known = {"data": {"name": header, "value": ""}, "secret": slug(name)} if kind == HEADER_AUTH else {"data": {}}
    return {"id": _made_id(f"credential {(kind, name)}"), "name": name, "type": kind, **known}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
