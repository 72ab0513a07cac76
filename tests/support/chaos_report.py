"""The report of a soak, as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

_COLUMNS = ("runs", "requeued", "started again", "lost", "doubled")


@dataclass(frozen=True, slots=True)
class Chapter:
    """One storm."""

    kills: Counter[str]
    figures: Mapping[str, int]
    seconds: float
    troubles: Sequence[str]


def report(now: datetime, machine: str, chapters: Mapping[str, Sequence[Chapter]]) -> str:
    """A table with one row per pair, what the words mean, and every trouble in full."""
    everything = [part for parts in chapters.values() for part in parts]
    troubles = [f"- {trouble}" for part in everything for trouble in part.troubles]
    lines = [
        f"# Soak of {now:%d %B %Y, %H:%M} UTC",
        "",
        f"{machine}.",
        "",
        f"| ledger + doorbell | kills (child, main, group) | {' | '.join(_COLUMNS)} | minutes |",
        f"| --- |{' ---: |' * (len(_COLUMNS) + 2)}",
        *(_row(name, parts) for name, parts in chapters.items()),
        _row("all", everything),
        "",
        "Kills are SIGKILLs of a worker at work: one child, its main process alone, its whole group.",
        "*Requeued*: the sweeper took the run from a silent owner.",
        "*Started again*: starts beyond each run's first, seen by the job itself.",
        "*Lost*: runs without a successful outcome in the ledger at the end.",
        "*Doubled*: runs with more than one outcome in the audit.",
        "",
        "## Troubles",
        "",
        *(troubles or ["None: every run, batch, finding, fact, artifact, callback, bell and audit row is there exactly once."]),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, parts: Sequence[Chapter]) -> str:
    kills = sum((part.kills for part in parts), Counter[str]())
    shown = f"{kills.total()} ({', '.join(str(kills[victim]) for victim in ('child', 'main', 'group'))})"
    sums = [str(sum(part.figures[column] for part in parts)) for column in _COLUMNS]
    minutes = sum(part.seconds for part in parts) / 60
    return f"| {name} | {shown} | {' | '.join(sums)} | {minutes:.1f} |"
