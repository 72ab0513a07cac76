"""The error tree of jobs and providers.

TaskError
├── EntryError          an estate entry or a parameter that the job cannot work with
├── ProviderError       an outside system answered badly or not at all (`stage`, `retryable`)
│   └── StackError      a Pulumi stack could not be looked at (`reason`, `recheck`)
├── StepFailed          a step of a plan was tried and failed
├── LoadError           a job, provider or channel that cannot be loaded, or a package that shadows ours
└── Cancelled           the run was cancelled, drained or lost its lease; raised by `ctx.checkpoint()`
"""


class TaskError(Exception):
    """Base of everything a job or a provider raises on purpose."""


class EntryError(TaskError):
    """An estate entry or a parameter that the job cannot work with; names the entry, the key and what is accepted."""


class ProviderError(TaskError):
    """An outside system answered badly or not at all."""

    def __init__(self, message: str, *, stage: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.stage = stage
        self.retryable = retryable


class StackError(ProviderError):
    """A Pulumi stack could not be looked at; `reason` is a stable code, see `tasks.stacks.Stacks`."""

    def __init__(self, message: str, *, reason: str, stage: str, recheck: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, stage=stage, retryable=retryable)
        self.reason = reason
        self.recheck = recheck


class StepFailed(TaskError):  # noqa: N818 - states a condition
    """A step of a plan was tried and failed: known to have ended, and nothing of it still goes on."""


class LoadError(TaskError):
    """A job, provider or channel that cannot be loaded, or a package that shadows ours; names the module and the cause."""


class Cancelled(TaskError):  # noqa: N818 - a request, not a fault
    """The run must stop at this boundary: cancelled, drained or its lease lost."""
