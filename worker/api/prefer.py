"""`Prefer: wait=N` (RFC 7240): hold the answer until something has ended, or N seconds."""

import asyncio
import re
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from worker.api.gateway import Gateway

LONGEST_WAIT_SECONDS = 60
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.25

T = TypeVar("T")


def asked_wait(request: Request) -> int:
    """Seconds to wait, at most `LONGEST_WAIT_SECONDS`; 0 when not asked. Nonsense is ignored, as the RFC says."""
    for preference in request.headers.get("prefer", "").split(","):
        found = re.fullmatch(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*', preference, re.IGNORECASE)
        if found:
            return min(int(found[1]), LONGEST_WAIT_SECONDS)
    return 0


def applied(response: Response, seconds: int) -> None:
    """Say in the response how long we were ready to wait."""
    if seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"


async def wait_until(here: Gateway, request: Request, seconds: int, look: Callable[[], T], done: Callable[[T], bool]) -> T:
    """What `look` sees, as soon as it is `done`, the time is over, the caller is gone, or this process is to stop.

    The pauses hold no thread: hundreds of callers may wait at once.
    """
    give_up = monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        seen = await run_in_threadpool(look)
        left = give_up - monotonic()
        if done(seen) or left <= 0 or here.shift.draining() or await request.is_disconnected():
            return seen
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
