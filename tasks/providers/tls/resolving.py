"""Names to addresses, by the system's resolver, in bounded time."""

import ipaddress
import queue
import socket
import threading
from collections.abc import Sequence
from datetime import timedelta

from tasks.errors import ProviderError

# What getaddrinfo says for a name that exists without A or AAAA; not every platform has both numbers.
_NO_ADDRESS = {getattr(socket, name, None) for name in ("EAI_NODATA", "EAI_ADDRFAMILY")}


def resolve(host: str, timeout: timedelta) -> Sequence[str]:
    """Every A and AAAA address of `host`, IPv4 first, in numerical order; empty if the name has none."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
    # getaddrinfo cannot be interrupted; a daemon thread that outlives its time-out holds up neither us nor the exit.
    threading.Thread(target=_look_up, args=(host, answers), name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout.total_seconds())
    except queue.Empty:
        message = f"{host}: the resolver gave no answer after {timeout.total_seconds():.1f} s"
        raise ProviderError(message, stage="resolve", retryable=True) from None
    if isinstance(answer, OSError):
        return _no_addresses(host, answer)
    return sorted(set(answer), key=_order)


def _look_up(host: str, answers: "queue.SimpleQueue[list[str] | OSError]") -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        answers.put(error)
    except UnicodeError:
        answers.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))
    else:
        answers.put([str(address[0]) for *_, address in found])


def _no_addresses(host: str, error: OSError) -> Sequence[str]:
    if error.errno in _NO_ADDRESS:
        return ()
    message = f"{host}: {error.strerror or error}"
    raise ProviderError(message, stage="resolve", retryable=error.errno == socket.EAI_AGAIN) from None


def _order(address: str) -> tuple[int, int]:
    number = ipaddress.ip_address(address)
    return number.version, int(number)
