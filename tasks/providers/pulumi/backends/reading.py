"""What a backend is asked for, and the objects of those that only keep blobs (file, S3, PostgreSQL)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tasks.errors import StackError
from tasks.model import Json
from tasks.stacks import Listed, Lock, Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state as its bytes lie in the backend."""

    content: bytes
    updated_at: datetime | None


class StateReader(Protocol):
    """One backend, reading side. Raises `StackError`: `backend_unreachable`, `backend_credentials`, `stack_missing`."""

    def listed(self) -> Sequence[Listed]:
        """Every stack, by full name; no state is read."""
        ...

    def checkpoint(self, stack: Stack) -> Checkpoint: ...

    def lock(self, stack: Stack) -> Lock | None:
        """The oldest lock on the stack."""
        ...

    def last_update(self, stack: Stack) -> Mapping[str, Json]:
        """The newest entry of the stack's history as Pulumi wrote it; empty if there is none."""
        ...


class Blobs(Protocol):
    """Objects by key, `.pulumi/stacks/…`. Raises `StackError` for what is wrong with the backend as a whole."""

    def keys(self, prefix: str) -> Sequence[str]:
        """Those that begin with `prefix`, in order of their names."""
        ...

    def read(self, key: str) -> Checkpoint | None:
        """None: there is no such object."""
        ...


def missing(stack: Stack, where: str) -> StackError:
    """The stack is not in its backend."""
    message = f"{stack.full_name}: there is no such stack in {where}; it was removed or renamed, or its name is misspelt"
    return StackError(message, reason="stack_missing", stage="backend")


def unreachable(where: str, detail: str) -> StackError:
    """The backend did not answer."""
    message = f"the backend {where} cannot be read: {detail}"
    return StackError(message, reason="backend_unreachable", stage="backend", retryable=True)


def refused(where: str, detail: str) -> StackError:
    """The backend answered that we may not."""
    message = f"the backend {where} refuses our credentials: {detail}"
    return StackError(message, reason="backend_credentials", stage="backend")
