"""Pulumi stacks in memory: looks, states and listings from a script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from tasks.errors import StackError
from tasks.stacks import Backend, Listed, Look, Looked, Stack, State

LookScript = Look | StackError | list[Look | StackError]


@dataclass
class FakeStacks:
    """Answers from a script: looks by (full name, what is looked at), states and identities by full name, listings by URL.

    A list of looks is given one by one, the last of them ever again; an error is raised. What has no script is missing.
    """

    looks: dict[tuple[str, Looked], LookScript] = field(default_factory=dict)
    states: dict[str, State | StackError] = field(default_factory=dict)
    listings: dict[str, Sequence[Listed] | StackError] = field(default_factory=dict)
    identities: dict[str, str | StackError] = field(default_factory=dict)
    commits: dict[str, str | StackError] = field(default_factory=dict)
    """By full name, where the git ref is; without it a stack stays as it is."""
    cli: str = "3.259.0"
    looked: list[tuple[str, Looked]] = field(default_factory=list)
    """Every look that was asked for, in order."""

    asked: list[list[str]] = field(default_factory=list)
    """Every command that was to say who we are, or who changed something."""

    def version(self) -> str:
        return self.cli

    def listed(self, backend: Backend) -> Sequence[Listed]:
        found = self.listings.get(backend.url, _missing(backend.url, "backend_unreachable"))
        if isinstance(found, StackError):
            raise found
        return found

    def pinned(self, stack: Stack) -> Stack:
        found = self.commits.get(stack.full_name)
        if isinstance(found, StackError):
            raise found
        return stack if found is None or stack.source is None else replace(stack, source=replace(stack.source, git_ref=found))

    def state(self, stack: Stack) -> State:
        found = self.states.get(stack.full_name, _missing(stack.full_name, "stack_missing"))
        if isinstance(found, StackError):
            raise found
        return found

    def look(
        self,
        stack: Stack,
        looked: Looked,
        *,
        deadline: timedelta,  # noqa: ARG002 - a script takes no time
        scratch: Path,  # noqa: ARG002 - nothing is written
        cancelled: Callable[[], bool] = lambda: False,  # noqa: ARG002 - at once
        save_plan: Path | None = None,
        targets: Sequence[str] = (),
    ) -> Look:
        self.looked.append((stack.full_name, looked))
        found = self.looks.get((stack.full_name, looked), _missing(stack.full_name, "stack_missing"))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, StackError):
            raise found
        if save_plan is not None:
            save_plan.write_text("{}")
        return replace(found, changes=tuple(one for one in found.changes if one.urn in targets)) if targets else found

    def identity(
        self,
        stack: Stack,
        argv: Sequence[str],
        *,
        deadline: timedelta,  # noqa: ARG002 - a script takes no time
        scratch: Path,  # noqa: ARG002 - nothing is written
        cancelled: Callable[[], bool] = lambda: False,  # noqa: ARG002 - at once
    ) -> str:
        self.asked.append(list(argv))
        found = self.identities.get(stack.full_name, _missing(stack.full_name, "credentials_expired"))
        if isinstance(found, StackError):
            raise found
        return found


def _missing(what: str, reason: str) -> StackError:
    return StackError(f"{what}: nothing in the script", reason=reason, stage="script")
