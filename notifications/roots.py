"""Findings of one root, told once however many entries have it. Pure.

A cause that names its root, `reason:root` as in `provider_upgrade:aws 6.2.0 → 6.3.0`, is one root wherever it turns up. Any
other cause is about its subject alone.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

_NAMED = 3


class Rooted(Protocol):
    """A finding as far as its root goes."""

    @property
    def job(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def cause(self) -> str: ...


RootedT = TypeVar("RootedT", bound=Rooted)


def root_of(finding: Rooted) -> str:
    """The root that its cause names; empty: none."""
    reason, colon, root = finding.cause.partition(":")
    return root if colon and reason == finding.reason else ""


def by_root(findings: Iterable[RootedT]) -> list[list[RootedT]]:
    """Those of one job, environment and root together, at the place of the first; every other one alone."""
    groups: dict[object, list[RootedT]] = {}
    for number, one in enumerate(findings):
        key = (one.job, one.environment, one.cause) if root_of(one) else number
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def same_in(group: Sequence[Rooted]) -> str:
    """`the same in 40: a, b, c and 37 more`."""
    subjects = sorted({one.subject for one in group})
    more = f" and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
    return f"the same in {len(subjects)}: {', '.join(subjects[:_NAMED])}{more}"
