"""Globs of a policy: `*` stands for any text, every other character for itself (an address in brackets too). Pure."""

import re
from collections.abc import Sequence
from functools import lru_cache

ANYTHING = "*"


def matches(text: str, globs: Sequence[str]) -> bool:
    """Whether one of `globs` is about `text`."""
    return any(_pattern(glob).fullmatch(text) for glob in globs)


def overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether there can be a text that one of each is about."""
    return any(_overlap(one, other) for one in some for other in others)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", glob))), re.DOTALL)


def _overlap(one: str, other: str) -> bool:
    """Walks both at once; a `*` may end, or take whatever comes next in the other."""
    if ANYTHING not in one + other:
        return one == other
    seen: set[tuple[int, int]] = set()
    ways = [(0, 0)]
    while ways:
        at = i, j = ways.pop()
        if at in seen:
            continue
        seen.add(at)
        left, right = one[i : i + 1], other[j : j + 1]
        if not left and not right:
            return True
        if ANYTHING in (left, right):
            ways += [(i + 1, j)] if left else []
            ways += [(i, j + 1)] if right else []
        elif left == right:
            ways.append((i + 1, j + 1))
    return False
