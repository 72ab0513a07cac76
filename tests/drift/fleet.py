"""A fleet of laboratory stacks, and a whole instance that looks at it every night."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import update

from tasks.providers.pulumi.orphans import MARK
from tests.cli.conftest import Cli, Instance, clean_environ, start
from tests.drift.providing import PROVIDER, left_of
from tests.lab.lab import Lab, LabStack
from tests.support.waiting import until
from worker.ledger.tables import SCHEDULES
from worker.settings import load_settings
from worker.wiring import House

Json = Any
SCHEDULE = "nightly-drift"
PATIENCE_SECONDS = 500.0
"""For a night; nothing is measured with it."""
_PARENT, _SESSION = 1, 3
POLICY = """\
[[rule]]
name = "drift is shown"
jobs = ["drift"]
actions = ["revert", "accept"]
environments = ["production"]
max_steps = 50
"""
PACE = {"LEASE_SECONDS": "8", "HEARTBEAT_SECONDS": "0.5", "GRACE_SECONDS": "1", "SWEEP_SECONDS": "0.3", "SCHEDULE_SECONDS": "0.5"}


def estate(lab: Lab, stacks: Sequence[LabStack], more: Mapping[str, Mapping[str, Json]] | None = None) -> str:
    """An entry for each stack; `more` keys for some, by the stack's name."""
    tables = ['[environments.production]\nmode = "propose"\n']
    for stack in stacks:
        known = {
            "name": stack.name,
            "environment": "production",
            "backend": lab.backend_url,
            "project": stack.program.name,
            "stack": stack.name,
            "path": str(stack.folder),
            "passphrase": f"file:{lab.passphrase_file}",
            **(more or {}).get(stack.name, {}),
        }
        tables.append("\n".join(["[[drift]]", *(f"{key} = {_toml(value)}" for key, value in known.items()), ""]))
    return "\n".join(tables)


def _toml(value: Json) -> str:
    """JSON and TOML write strings, numbers and lists alike, tables not."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {json.dumps(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


@dataclass
class Fleet:
    """An instance that is ready, and its callers."""

    lab: Lab
    cli: Cli
    instance: Instance
    n8n: httpx.Client
    ana: httpx.Client
    house: House
    """Ours, over the same ledger."""

    def joins(self) -> dict[str, Json]:
        """What a workflow of n8n asks for, and is answered."""
        answer = self.n8n.post("/v1/runs", json={"schedule": SCHEDULE})
        assert answer.is_success, answer.text
        said: dict[str, Json] = answer.json()
        return said

    def comes_due(self) -> None:
        """As if the scheduler had been away at tonight's hour."""
        with self.house.ledger.transaction() as tx:
            tx.execute(update(SCHEDULES).where(SCHEDULES.c.name == SCHEDULE).values(cursor_at=_hour() - timedelta(hours=1)))

    def nights(self) -> list[dict[str, Json]]:
        """The batches of the schedule."""
        said: list[dict[str, Json]] = self.ana.get(f"/v1/batches?schedule={SCHEDULE}").json()["batches"]
        return said

    def batch(self, batch_id: str) -> dict[str, Json]:
        said: dict[str, Json] = self.ana.get(f"/v1/batches/{batch_id}").json()
        return said

    def going(self, batch_id: str) -> set[str]:
        """The entries whose runs have not ended."""
        runs = self.batch(batch_id)["runs"]
        return {run["params"]["entries"][0] for run in runs if run["state"] in ("queued", "running")}

    def ended(self, batch_id: str) -> dict[str, Json]:
        """The batch, once all of its runs have ended."""
        self.until("the night ends", lambda: self.batch(batch_id)["remaining"] == 0)
        return self.batch(batch_id)

    def until(self, what: str, so: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Who gives up shows what the instance said last."""
        until(what, so, seconds, more=lambda: self.instance.log.read_text()[-4000:])

    def fingerprint(self, stacks: Sequence[LabStack]) -> tuple[object, ...]:
        """What no look may change: states, locks, writes to the cloud."""
        return [self.lab.state_hash(one) for one in stacks], self.lab.locks(), self.lab.cloud.counts().writes

    def left(self) -> list[str]:
        return left_of(self.lab)


@contextmanager
def fleet(folder: Path, lab: Lab, text: str, *options: str, routes: str = "", **environ: str) -> Iterator[Fleet]:
    """`nightshift up` over this estate; the schedule's hour is over since ten minutes, so that is tonight's."""
    home = folder / "home"
    (home / "schedules").mkdir(parents=True, mode=0o700)
    at = _hour()
    schedule = f'[[schedule]]\nname = "{SCHEDULE}"\njob = "drift"\ncron = "{at.minute} {at.hour} * * *"\ncatch_up = "one"\n'
    for name, content in (("estate", text), ("policy", POLICY), ("schedules/ours", schedule), ("routes", routes)):
        (home / f"{name}.toml").write_text(content)
    (home / "people.toml").write_text('[[person]]\nname = "ana"\nemail = "ana@example.test"\nroles = { "*" = ["operator"] }\n')
    named = {**PACE, "PULUMI": str(lab.programs.pulumi), "PULUMI_PLUGINS": str(lab.plugins), "MEMORY_MB": "4000"}
    settings = {f"NIGHTSHIFT_{name}": value for name, value in named.items()}
    cli = Cli(home, {**clean_environ(home), **settings, "TMPDIR": str(_made(folder / "tmp")), **environ})
    instance = start(cli, *options)
    house = House(load_settings(cli.environ).settings)
    try:
        n8n = cli.json("token", "create", "canvas", "--role", "n8n")["token"]
        ana = cli.json("token", "create", "--person", "ana")["token"]
        with closing(house.ledger), _client(instance, n8n) as its, _client(instance, ana) as hers:
            yield Fleet(lab, cli, instance, its, hers, house)
    finally:
        if instance.process.poll() is None:
            instance.end()


def _hour() -> datetime:
    """Tonight's: a whole minute, some ten ago when the test began."""
    return datetime.fromtimestamp(_BEGAN - _BEGAN % 60, UTC) - timedelta(minutes=10)


_BEGAN = time.time()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _client(instance: Instance, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=instance.facts["url"], headers=headers, timeout=60, trust_env=False)


def environment_of(pid: int) -> dict[str, str]:
    """With which a process was started; empty if it has ended."""
    raw = _proc(pid, "environ")
    return dict(line.split("=", 1) for line in raw.split("\0") if "=" in line)


def ancestor(pid: int, generations: int) -> int:
    """1: its parent."""
    for _ in range(generations):
        pid = _stat(pid, _PARENT)
    return pid


def command_of(pid: int) -> str:
    return _proc(pid, "cmdline").replace("\0", " ")


def looking(lab: Lab, *, beside: int | None = None) -> list[int]:
    """The processes that looks at the laboratory's stacks have started; of that look alone to which `beside` belongs."""
    every = {int(process.name): environment_of(int(process.name)) for process in Path("/proc").glob("[0-9]*")}
    ours = {pid: found for pid, found in every.items() if MARK in found and found.get("PULUMI_BACKEND_URL") == lab.backend_url}
    return [pid for pid, found in ours.items() if beside is None or found[MARK] == ours[beside][MARK]]


def hanging(lab: Lab) -> list[int]:
    """The CLIs among them whose provider is at work."""
    words = {pid: command_of(pid) for pid in looking(lab)}
    sessions = {_stat(pid, _SESSION) for pid, said in words.items() if PROVIDER in said} - {0}
    return [pid for pid, said in words.items() if "--event-log" in said and _stat(pid, _SESSION) in sessions]


def _stat(pid: int, place: int) -> int:
    """What follows the name in parentheses; 0 if it has ended."""
    words = _proc(pid, "stat").rpartition(")")[2].split()
    return int(words[place]) if words else 0


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""
