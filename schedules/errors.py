"""The error tree of schedules.

ScheduleError
├── CronError           a cron line that cannot be used; says what is accepted
└── ScheduleFileError   a schedules file with all of its problems, each with file, line, key and value
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ScheduleError(ValueError):
    """Base of everything this package raises on purpose."""


class CronError(ScheduleError):
    """A cron line that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file. `value` is what stood there, shortened, and never a secret."""

    source: str
    line: int
    key: str
    value: str | None
    message: str

    def __str__(self) -> str:
        shown = self.key if self.value is None else f"{self.key} = {self.value}"
        return f"{self.source}:{self.line}: {shown}: {self.message}" if shown else f"{self.source}:{self.line}: {self.message}"


class ScheduleFileError(ScheduleError):
    """A schedules file that is refused; `problems` holds every reason, in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))
