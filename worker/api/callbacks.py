"""Which URLs a result may be sent to."""

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from worker.api.problems import ProblemError

FIELD = "callback_url"
LONGEST_URL = 2000


def check_callback(url: str, allowed: Sequence[str], field: str = FIELD) -> None:
    """Raise a problem unless `url` is http or https, without credentials, to one of the `allowed` hosts.

    The message never shows the URL: whoever has it may post there.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProblemError(422, "callback_not_a_url", f"{field}: accepted is http://… or https://…", field=field)
    if parts.username is not None or parts.password is not None or parts.fragment:
        detail = f"{field}: accepted is a URL without user, password and fragment"
        raise ProblemError(422, "callback_not_a_url", detail, field=field)
    if not any(_matches(parts, pattern) for pattern in allowed):
        detail = f"{field}: host {parts.hostname!r} is not among the hosts that a callback may go to (setting callback_hosts)"
        raise ProblemError(422, "callback_host", detail, field=field, accepted=allowed)


def _split(url: str) -> SplitResult | None:
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _matches(parts: SplitResult, pattern: str) -> bool:
    """`host` means every port of it; `*.example.com` every name below example.com, and not example.com itself."""
    host, port = _host_and_port(pattern.lower())
    name = (parts.hostname or "").rstrip(".")
    if port is not None and port != (parts.port or {"http": 80, "https": 443}[parts.scheme]):
        return False
    return name.endswith(host[1:]) and name != host[2:] if host.startswith("*.") else name == host


def _host_and_port(pattern: str) -> tuple[str, int | None]:
    if pattern.startswith("["):
        host, _, port = pattern[1:].partition("]")
        return host, int(port[1:]) if port else None
    if pattern.count(":") == 1:
        host, _, port = pattern.partition(":")
        return host, int(port)
    return pattern, None
