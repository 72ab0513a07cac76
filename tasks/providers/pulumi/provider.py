"""`Stacks` by the Pulumi CLI and by reading the backends themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tasks.context import SecretReader
from tasks.errors import StackError
from tasks.stacks import Backend, Listed, Look, Looked, Stack, State


@dataclass(frozen=True, slots=True, kw_only=True)
class PulumiStacks:
    """`tasks.stacks.Stacks`."""

    secrets: SecretReader
    mac: Callable[[bytes], str]
    cache: Path
    program: Path | None = None

    def version(self) -> str:
        raise StackError("pulumi: not found", reason="pulumi_missing", stage="start")

    def listed(self, backend: Backend) -> Sequence[Listed]:
        raise StackError(f"{backend.url}: cannot be read", reason="backend_unreachable", stage="backend")

    def state(self, stack: Stack) -> State:
        raise StackError(f"{stack.full_name}: cannot be read", reason="backend_unreachable", stage="backend")

    def look(
        self,
        stack: Stack,
        looked: Looked,
        *,
        deadline: timedelta,
        scratch: Path,
        cancelled: Callable[[], bool] = lambda: False,
        save_plan: Path | None = None,
    ) -> Look:
        raise StackError(f"{stack.full_name}: not looked at", reason="pulumi_missing", stage="start")

    def identity(
        self,
        stack: Stack,
        argv: Sequence[str],
        *,
        deadline: timedelta,
        scratch: Path,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        raise StackError(f"{stack.full_name}: not asked", reason="pulumi_missing", stage="start")
