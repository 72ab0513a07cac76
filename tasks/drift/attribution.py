"""Who changed it. Pulumi cannot know; a program of the operator's asks the log that does, such as CloudTrail."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tasks.context import Context
from tasks.drift.classes import IN_THE_CLOUD, Classified
from tasks.drift.entry import DriftEntry
from tasks.errors import StackError
from tasks.stacks import ResourceChange, Stack

_MOST_ASKED = 10
"""Resources that changed alike have mostly one author, and each question takes seconds."""
_PATIENCE = timedelta(seconds=30)
_SAID_LIMIT = 200
_PLACEHOLDER = re.compile(r"\{(id|urn|type|name)\}")


def who(ctx: Context, entry: DriftEntry, stack: Stack, found: Sequence[Classified]) -> Mapping[str, str]:
    """By URN what `who_command` says, of the first ten resources; why it could not be asked is an answer, too."""
    resources = {one.urn: one.resource for one in found if one.in_cloud and one.why in IN_THE_CLOUD}
    asked = sorted(resources)[:_MOST_ASKED] if entry.who_command else []
    return {urn: _ask(ctx, entry, stack, resources[urn]) for urn in asked}


def _ask(ctx: Context, entry: DriftEntry, stack: Stack, resource: ResourceChange) -> str:
    ctx.checkpoint()
    argv = [_filled(word, resource) for word in entry.who_command]
    if any(word.startswith("-") and not template.startswith("-") for word, template in zip(argv, entry.who_command, strict=True)):
        return "not asked: what names the resource reads as an option"
    try:
        said = ctx.stacks.identity(stack, argv, deadline=_PATIENCE, scratch=ctx.scratch, cancelled=ctx.cancelled)
    except StackError as error:
        ctx.checkpoint()
        return f"could not be asked: {error.reason}"
    return " ".join(said.split())[:_SAID_LIMIT] or "its log does not say"


def _filled(word: str, resource: ResourceChange) -> str:
    """In one pass: what a resource is called may itself look like a placeholder."""
    told = {"id": resource.id, "urn": resource.urn, "type": resource.type, "name": resource.name}
    return _PLACEHOLDER.sub(lambda found: told[found[1]], word)
