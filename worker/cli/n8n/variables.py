"""What the variables that an n8n was started with mean for the pairing. Pure, but for reading them."""

import ipaddress
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from tasks.providers.n8n.gateway import IN_FILES
from worker.api.callbacks import check_callback
from worker.api.problems import ProblemError
from worker.cli.health import Check
from worker.settings import Settings

Variables = Mapping[str, str]
_SHORT_KEY = 24
_KEY, _SSRF, _ALLOWED = "N8N_ENCRYPTION_KEY", "N8N_SSRF_PROTECTION_ENABLED", "N8N_SSRF_ALLOWED_IP_RANGES"


def read_variables(place: Path) -> Variables:
    """Lines of `env`, or what Linux keeps of a process; `-`: standard input."""
    text = sys.stdin.read() if str(place) == "-" else place.read_text(encoding="utf-8", errors="replace")
    pairs = (each.strip().removeprefix("export ").partition("=") for each in text.split("\0" if "\0" in text else "\n"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs if name and not name.startswith("#")}


def _encryption_key(name: str, variables: Variables, _: Settings) -> Check:
    """Its value is never shown."""
    if variables.get(f"{_KEY}_FILE"):
        return Check(name, "ok", "yours, from a file")
    key = variables.get(_KEY, "")
    if not key:
        found = "n8n made one and keeps it in its folder only: without it no saved credential can be read again"
        return Check(name, "warn", found, f"keep `encryptionKey` of .n8n/config where you keep secrets, and set {_KEY}")
    if len(key) < _SHORT_KEY:
        return Check(name, "warn", f"yours, of {len(key)} characters", f"take {_SHORT_KEY} random ones or more for a new n8n")
    return Check(name, "ok", "yours")


def _ssrf(name: str, variables: Variables, settings: Settings) -> Check:
    url = settings.n8n_gateway_url or IN_FILES
    host = urlsplit(url).hostname or ""
    if variables.get(_SSRF, "").lower() not in ("true", "1"):
        advice = f"set {_SSRF}=true and {_ALLOWED} to the gateway's address ({host})"
        return Check(name, "warn", "off: whoever edits a workflow makes n8n call anything in your network", advice)
    if _let_through(host, variables):
        return Check(name, "ok", f"on, and lets through to {url}")
    # Measured: an address under N8N_SSRF_ALLOWED_HOSTNAMES is not let through, only a range is.
    found, advice = f"on, and nothing lets through to {url}", f"name the gateway's address in {_ALLOWED}, such as 127.0.0.1/32"
    return Check(name, "fail" if _address(host) else "warn", found, advice)


def _let_through(host: str, variables: Variables) -> bool:
    address = _address(host)
    if address is None:
        names = [each.strip().lower() for each in variables.get("N8N_SSRF_ALLOWED_HOSTNAMES", "").split(",")]
        return host in names or any(each.startswith("*.") and host.endswith(each[1:]) for each in names)
    ranges = [each.strip() for each in variables.get(_ALLOWED, "").split(",") if each.strip()]
    return any(_holds(each, address) for each in ranges)


def _holds(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _webhook_url(name: str, variables: Variables, settings: Settings) -> Check:
    url = variables.get("WEBHOOK_URL", "")
    if not url:
        found = "not set: n8n makes resume URLs of the host and port that it listens on"
        return Check(name, "warn", found, "set WEBHOOK_URL to where the gateway reaches n8n, such as http://127.0.0.1:5678/")
    try:
        check_callback(url, settings.callback_hosts, field="WEBHOOK_URL")
    except ProblemError as problem:
        return Check(name, "fail", problem.detail, "no callback would go there: correct it, or add its host to callback_hosts")
    return Check(name, "ok", f"{url}, where callbacks may go")


def _time_zone(name: str, variables: Variables, _: Settings) -> Check:
    zone = variables.get("GENERIC_TIMEZONE", "")
    if not zone:
        found = "not set: schedules without a zone of their own go by America/New_York"
        return Check(name, "warn", found, "set GENERIC_TIMEZONE; the workflows that ship name theirs")
    if zone not in available_timezones():
        return Check(name, "fail", f"GENERIC_TIMEZONE={zone} is no time zone", "take a name such as Europe/Zurich")
    return Check(name, "ok", zone)


EXAMINATIONS: Mapping[str, Callable[[str, Variables, Settings], Check]] = {
    "n8n encryption key": _encryption_key,
    "n8n SSRF protection": _ssrf,
    "n8n WEBHOOK_URL": _webhook_url,
    "n8n time zone": _time_zone,
}
