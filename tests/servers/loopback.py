"""An audit hook that lets this process speak to loopback only."""

import ipaddress
import socket

NAMES_OF_THIS_MACHINE = {"", "localhost", "localhost.localdomain", socket.gethostname()}
# Names that can never exist (RFC 6761) are answered as a name server would, without asking one.
NEVER_RESOLVED = (".invalid", ".test", ".example")


class OutsideWorld(Exception):  # noqa: N818 - must not look like a network error that the code under test knows
    """A test tried to leave this machine."""


class LoopbackOnly:
    """Refuses to connect, send or resolve elsewhere, and remembers it in case the code under test swallows the refusal."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event in {"socket.connect", "socket.sendto"}:
            self._connect(args[1])
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._resolve(args[0])

    def _connect(self, address: object) -> None:
        # A str or bytes address is a Unix socket.
        if isinstance(address, tuple) and isinstance(address[0], str) and not _is_ours(address[0]):
            self._refuse(f"connect to {address[0]}:{address[1]}")

    def _resolve(self, host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or not isinstance(name, str) or _is_address(name) or _is_ours(name):
            return
        if name.rstrip(".").endswith(NEVER_RESOLVED):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._refuse(f"resolve {name}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise OutsideWorld(what)


def _is_ours(host: str) -> bool:
    if _is_address(host):
        address = ipaddress.ip_address(host)
        # To connect to the unspecified address is to connect to loopback.
        return address.is_loopback or address.is_unspecified
    return host in NAMES_OF_THIS_MACHINE or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
