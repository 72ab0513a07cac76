"""One runbook: what a person does about a reason code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runbook:
    """In a few plain sentences each."""

    code: str
    means: str
    look: str
    """Where to look before anything is done."""
    do: str
    """The way out."""
