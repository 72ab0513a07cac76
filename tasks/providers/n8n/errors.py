"""What can go wrong between a folder of workflows and an n8n.

ProviderError
└── N8nError             n8n answered badly or not at all
    ├── N8nAway          down, starting, or something else answers at that address (retryable)
    ├── N8nForbidden     the key is wrong, expired, or lacks a scope
    ├── N8nNotThere      deleted, or never there
    └── PushFailed       a write failed half-way; says what was put back and what was not
TaskError
└── WorkflowError        a file or an export that cannot be read or is not usable; nothing was asked of n8n
    └── Refused          understood, and nothing written; each reason on a line of its own
"""

from tasks.errors import ProviderError, TaskError


class N8nError(ProviderError):
    """n8n answered badly or not at all."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message, stage="n8n", retryable=retryable)


class N8nAway(N8nError):  # noqa: N818 - states a condition
    """Down, starting, or something else answers there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class N8nForbidden(N8nError):  # noqa: N818 - states a condition
    """The key is wrong, expired, or may not do this."""


class N8nNotThere(N8nError):  # noqa: N818 - states a condition
    """Deleted, or never there."""


class PushFailed(N8nError):  # noqa: N818 - states a condition
    """A write failed after others had succeeded. `left` names what could not be put back; empty: n8n is as it was."""

    def __init__(self, message: str, left: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.left = left


class WorkflowError(TaskError):
    """A file, a folder or an export that cannot be worked with; names it, and what to do."""


class Refused(WorkflowError):  # noqa: N818 - states a condition
    """Nothing was written."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons
