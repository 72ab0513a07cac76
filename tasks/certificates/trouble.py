"""One thing that is wrong with a presented chain."""

from dataclasses import dataclass

from tasks.model import Severity


@dataclass(frozen=True, slots=True)
class Trouble:
    """`reason` is a stable code. `title` goes on after the place, as in `www.example.com:443: certificate expired 3 days ago`."""

    reason: str
    severity: Severity
    title: str
    detail: str = ""
