"""Between what a wall clock shows and the instant it is: pure, and exact on the nights the clocks change.

A *wall* is a naive datetime: what the clock on the wall of a zone shows. Instants are aware and UTC.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EARLIER = timedelta.resolution


def wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clock in `zone` shows at `instant`."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instants_of(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Every instant at which the clock in `zone` shows `wall`, in order: one, two (clocks go back) or none (forward)."""
    found = {_instant(wall, zone, fold) for fold in (0, 1)}
    return sorted(instant for instant in found if wall_at(instant, zone) == wall)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clock in `zone` shows `wall` or, where it jumps over it, something later."""
    instants = instants_of(wall, zone)
    return instants[0] if instants else _end_of_gap(wall, zone)


def repeat_after(instant: datetime, zone: ZoneInfo) -> timedelta:
    """If the clock in `zone` is about to show once more what it shows at `instant`: how much later. Else zero."""
    both = instants_of(wall_at(instant, zone), zone)
    return both[-1] - instant


def _instant(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    # In a gap, fold=1 gives an instant before the jump and fold=0 one after it (PEP 495); zoneinfo does not tell the
    # jump itself, so halve the distance until one step is left.
    before, after = _instant(wall, zone, 1), _instant(wall, zone, 0)
    while after - before > _EARLIER:
        middle = before + (after - before) / 2
        if wall_at(middle, zone) < wall:
            before = middle
        else:
            after = middle
    return after
