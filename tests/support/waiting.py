"""The one way in which tests wait: look again until it is so."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 90.0
"""For anything to come about on a slow and busy machine; nothing is measured with it, and who is satisfied waits no longer."""
_LONGEST_PAUSE_SECONDS = 0.1
T = TypeVar("T")


def until(
    what: str,
    look: Callable[[], T | None],
    seconds: float = PATIENCE_SECONDS,
    *,
    not_yet: type[Exception] | tuple[type[Exception], ...] = (),
    more: Callable[[], str] = lambda: "",
) -> T:
    """The first true thing that `look` says.

    `look` may do something, too. What it raises passes, except `not_yet`. After `seconds`, and a last look, it is a TimeoutError
    with `what` was waited for, the last that was seen, and what `more` has to say: logs, say.
    """
    deadline, pause_seconds = time.monotonic() + seconds, 0.01
    while True:
        last = time.monotonic() >= deadline
        seen: T | Exception | None
        try:
            seen = look()
        except not_yet as error:
            seen = error
        else:
            if seen:
                return seen
        if last:
            message = f"{what}: not within {seconds:g} s, last seen {seen!r}"
            raise TimeoutError("\n".join(filter(None, (message, more()))))
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.2, _LONGEST_PAUSE_SECONDS)
