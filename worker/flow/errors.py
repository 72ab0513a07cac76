"""The error tree of the verbs.

FlowError               (`code`, `field`: what a problem document names)
├── NotFound            no such run, batch, finding, schedule, job or entry
├── Refused             understood, and not done: the state does not allow it
│   └── KeyConflict     the idempotency key was used with another body
├── Invalid             a request that says something we cannot take
└── Forbidden           the actor's grants do not cover it
"""


class FlowError(Exception):
    """Base; `code` is a stable snake_case word, `field` the member of the request it is about, if any."""

    code = "refused"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.field = field


class NotFound(FlowError):  # noqa: N818 - states a condition
    """No such run, batch, finding, schedule, job or entry; the message names the nearest that exist."""

    code = "not_found"


class Refused(FlowError):  # noqa: N818 - states a condition
    """Understood, and not done; the message says why and what would be."""


class KeyConflict(Refused):
    """The idempotency key was used before, with another body."""

    code = "idempotency_key_reused"


class Invalid(FlowError):  # noqa: N818 - states a condition
    """A request that says something we cannot take; the message says what is accepted."""

    code = "invalid"


class Forbidden(FlowError):  # noqa: N818 - states a condition
    """The actor's grants do not cover it."""

    code = "forbidden"


class LeaseLost(Exception):  # noqa: N818 - states a condition
    """Somebody else took this run over; nothing that this owner did since counts."""
