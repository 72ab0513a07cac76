"""The configuration of the demo: the estate, one person and two rules, a mail channel to the sink, two schedules."""

import json
from collections.abc import Sequence
from pathlib import Path

from worker.demo.renew import write_private

SCHEDULE = "nightly-certificates"
DRIFT_SCHEDULE = "nightly-drift"

_ROUTES = """\
[channels.mail]
kind = "email"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "Nightshift <nightshift@demo.example>"
recipients = ["you@demo.example"]

[channels.log]
kind = "console"

[[routes]]
channels = ["mail"]
match = {{ severity = "critical" }}

[digest]
channels = ["mail", "log"]
"""

_SCHEDULES = f"""\
[[schedule]]
name = "{SCHEDULE}"
job = "certificates"
cron = "30 2 * * *"

[[schedule]]
name = "{DRIFT_SCHEDULE}"
job = "drift"
cron = "0 1 * * *"
"""


PERSON = "demo"

_PEOPLE = f"""\
[[person]]
name = "{PERSON}"
email = "you@demo.example"
roles = {{{{ demo = ["operator"] }}}}
pin_hash = "{{pin_hash}}"
"""

_POLICY = """\
[policy]
version = 1
default = "deny"

[[rule]]
name = "renew-certificates"
jobs = ["certificates"]
actions = ["renew", "reload"]
environments = ["demo"]
approvers = 1

[[rule]]
name = "drift-is-shown"
jobs = ["drift"]
actions = ["revert", "accept"]
environments = ["demo"]
"""


def write_files(home: Path, estate: str, mail_port: int, hosts: Sequence[str], pin_hash: str) -> None:
    """Write them all; what an earlier demo left is replaced."""
    (home / "schedules").mkdir(exist_ok=True)
    entries = [estate, *(_entry(host) for host in hosts)]
    (home / "estate.toml").write_text('[environments.demo]\nmode = "execute"\n\n' + "\n".join(entries), encoding="utf-8")
    (home / "routes.toml").write_text(_ROUTES.format(port=mail_port), encoding="utf-8")
    write_private(home / "people.toml", _PEOPLE.format(pin_hash=pin_hash).encode())
    (home / "policy.toml").write_text(_POLICY, encoding="utf-8")
    (home / "schedules" / "demo.toml").write_text(_SCHEDULES, encoding="utf-8")


def _entry(place: str) -> str:
    """An entry for `host`, `host:port` or `[::1]:port`; JSON and TOML quote strings alike."""
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        host, port = place, "443"
    name, bare = json.dumps(place), json.dumps(host.strip("[]"))
    return f'[[certificates]]\nname = {name}\nhost = {bare}\nport = {port}\nenvironment = "demo"\nowner = "you"\n'
