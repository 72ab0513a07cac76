"""What a bench says: one row a comparison, the ratio within this very run, and the goal."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`value` is the figure that the goal is about: a ratio to `beside`, or the figure itself where nothing is beside it."""

    what: str
    ours: str
    beside: str = ""
    value: float
    goal: str
    """`>= 0.5`, `<= 3`."""

    @property
    def met(self) -> bool:
        """Whether `value` is on the right side of the goal."""
        sign, _, limit = self.goal.partition(" ")
        return self.value >= float(limit) if sign == ">=" else self.value <= float(limit)


def middle(values: Iterable[float]) -> float:
    """The median of the rounds."""
    return median(values)


def spread(values: Sequence[float]) -> str:
    """`482 (451-503)`: median and range of the rounds."""
    return f"{middle(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        print(json.dumps([{**asdict(row), "met": row.met} for row in rows], indent=2))
        return
    table = Table(
        "what", "Nightshift", "beside", "figure", "goal", "", title="Medians of alternating rounds on this machine, now"
    )
    for row in rows:
        table.add_row(row.what, row.ours, row.beside, f"{row.value:.2f}", row.goal, "met" if row.met else "missed")
    Console(width=150).print(table)
