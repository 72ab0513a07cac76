"""The `Tls` Protocol by pyOpenSSL: non-blocking sockets, one selector, one context per set of trust anchors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from tasks.context import Handshake, Probe, ProbeFailure
from tasks.providers.tls import anchors, resolving
from tasks.providers.tls.rounds import Rounds


class OpenSslTls:
    """Looks at TLS servers. `at_once` bounds the open sockets of one call."""

    def __init__(self, *, at_once: int = 200) -> None:
        self._at_once = at_once

    def resolve(self, host: str, timeout: timedelta) -> Sequence[str]:
        return resolving.resolve(host, timeout)

    def read_anchors(self, path: Path) -> str:
        return anchors.read_anchors(path)

    def read_certificates(self, path: Path) -> Sequence[bytes]:
        return anchors.read_certificates(path)

    def handshakes(
        self, probes: Iterable[Probe], *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Probe, Handshake | ProbeFailure]]:
        with Rounds(probes, self._at_once) as rounds:
            while not cancelled() and rounds.more():
                yield from rounds.turn()
