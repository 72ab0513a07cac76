"""Durations as people write them: `30s`, `10m`, `2h`, `1d`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"([0-9]{1,7})([smhd])")
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=366)


def parse_duration(text: str) -> timedelta:
    """Raises `ValueError` for anything but a whole number and one unit, and for more than 366 days."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("is not a duration; accepted: a whole number and s, m, h or d, e.g. `30s`, `10m`, `2h`, `1d`")
    length = int(found[1]) * _UNITS[found[2]]
    if length > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST.days} days, the longest accepted")
    return length
