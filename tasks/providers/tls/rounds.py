"""Many probes at a time over one selector. Not thread-safe; one instance per call."""

import selectors
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Self

from OpenSSL import SSL

from tasks.context import Handshake, Probe, ProbeFailure
from tasks.providers.tls.anchors import Fault, client_context
from tasks.providers.tls.attempt import Attempt

# How long a cancel may wait for the selector, and how often deadlines are looked at.
_GLANCE_SECONDS = 0.05

Result = tuple[Probe, Handshake | ProbeFailure]


class Rounds:
    """Keeps up to `at_once` attempts going until the probes are used up; closes what is open when it is left."""

    def __init__(self, probes: Iterable[Probe], at_once: int) -> None:
        self._waiting = iter(probes)
        self._exhausted = False
        self._at_once = at_once
        self._open: set[Attempt] = set()
        self._selector = selectors.DefaultSelector()
        self._contexts: dict[str | None, SSL.Context] = {}
        self._next_glance = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for attempt in self._open:
            attempt.close()
        self._selector.close()

    def more(self) -> bool:
        return bool(self._open) or not self._exhausted

    def turn(self) -> Iterator[Result]:
        """Start what there is room for, wait a moment, and yield what came to its end."""
        yield from self._start()
        for key, _ in self._selector.select(_GLANCE_SECONDS if self._open else 0):
            yield from self._advance(key.data)
        yield from self._expire()

    def _start(self) -> Iterator[Result]:
        while not self._exhausted and len(self._open) < self._at_once:
            probe = next(self._waiting, None)
            if probe is None:
                self._exhausted = True
                return
            attempt = Attempt(probe, self._context(probe.trust_anchors_pem), monotonic())
            failure = attempt.connect()
            if failure is None:
                self._open.add(attempt)
                self._selector.register(attempt.socket, selectors.EVENT_WRITE, attempt)
            else:
                yield probe, failure

    def _advance(self, attempt: Attempt) -> Iterator[Result]:
        outcome = attempt.advance()
        if isinstance(outcome, int):
            if self._selector.get_key(attempt.socket).events != outcome:
                self._selector.modify(attempt.socket, outcome, attempt)
            return
        yield self._end(attempt, outcome)

    def _expire(self) -> Iterator[Result]:
        now = monotonic()
        if now < self._next_glance:
            return
        self._next_glance = now + _GLANCE_SECONDS
        for attempt in [attempt for attempt in self._open if now >= attempt.deadline]:
            yield self._end(attempt, attempt.timed_out())

    def _end(self, attempt: Attempt, outcome: Handshake | ProbeFailure) -> Result:
        self._selector.unregister(attempt.socket)
        self._open.discard(attempt)
        attempt.close()
        return attempt.probe, outcome

    def _context(self, anchors_pem: str | None) -> SSL.Context:
        if anchors_pem not in self._contexts:
            self._contexts[anchors_pem] = client_context(anchors_pem, _record)
        return self._contexts[anchors_pem]


def _record(connection: SSL.Connection, fault: Fault) -> None:
    connection.get_app_data().append(fault)
