"""`nightshift demo`: a home of its own, loopback servers to look at, the whole stack, and one night of it."""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker import logs
from worker.cli.admission import login_link
from worker.cli.opening import actor
from worker.cli.printing import say
from worker.cli.refusals import REFUSED, Unavailable
from worker.cli.work import Asked, show_findings, wait_for
from worker.demo.files import DRIFT_SCHEDULE, SCHEDULE, write_files
from worker.demo.mending import look_again, mend, tell_how, verify_audit
from worker.demo.report import EXPECTED, missing
from worker.demo.stacks import EXPECTED as EXPECTED_OF_STACKS
from worker.demo.stacks import LeftOut, Stacks, open_stacks, show_proposals
from worker.flow import Order, Request, enqueue
from worker.flow.nights import close_night_now, join_night
from worker.ledger import findings, telling
from worker.records import Trigger
from worker.settings import load_settings
from worker.supervisor import Process, Supervisor
from worker.tokens import hash_pin
from worker.wiring import House

_READY_SECONDS = 60.0
_MAIL_SECONDS = 20.0
_END_SECONDS = 20.0
_LOG_TAIL = 20
_MARK = ".demo"
_PIN_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Stage:
    """The running stack: its console, Flower, and what lies where."""

    house: House
    url: str
    flower: str
    mails: Path
    environ: Mapping[str, str]
    """With which a command line speaks to it."""
    pin: str
    """Of the one person there is; shown on the terminal and written nowhere."""
    stacks: Stacks | None
    """None: there is no Pulumi here."""

    @property
    def schedules(self) -> Mapping[str, str]:
        """Those of the night, with their jobs."""
        return {SCHEDULE: "certificates"} | ({DRIFT_SCHEDULE: "drift"} if self.stacks else {})

    @property
    def expected(self) -> Mapping[str, frozenset[str]]:
        """Reason codes by entry."""
        return {**EXPECTED, **(EXPECTED_OF_STACKS if self.stacks else {})}


def run_demo(*, scripted: bool, hosts: Sequence[str], home: Path | None) -> int:
    """Play the night and its repairs; returns the exit code. Whatever happens, everything that was started is ended."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(ending))
    logs.configure("console", "error")
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(demo_home(home))
            stage = stack.enter_context(set_up(folder, hosts))
            troubles = play(stage, scripted=scripted)
            if scripted and home is None:
                say("All of it goes now; --home DIR keeps it.")
            elif not scripted:
                say("\nCtrl-C ends the demo" + (f"; {folder} stays." if home else " and removes all of it."))
                ending.wait()
    except KeyboardInterrupt:
        return 0
    return REFUSED if troubles else 0


def _end(ending: threading.Event) -> None:
    if ending.is_set():
        return
    ending.set()
    raise KeyboardInterrupt


@contextmanager
def demo_home(home: Path | None) -> Iterator[Path]:
    """A folder that goes with the block, or `home`, which stays. Raises `Unavailable` for somebody's real home."""
    if home is None:
        folder = Path(tempfile.mkdtemp(prefix="nightshift-demo-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    if home.exists() and any(home.iterdir()) and not (home / _MARK).exists():
        message = f"{home} is not empty and no demo's: give the demo a folder of its own"
        raise Unavailable(message)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / _MARK).touch()
    yield home.absolute()


@contextmanager
def set_up(folder: Path, hosts: Sequence[str]) -> Iterator[Stage]:
    """Servers to look at, a mail server, and `nightshift up` over them. Raises `Unavailable`."""
    try:
        from worker.demo.farm import open_farm
        from worker.demo.sink import mail_sink
    except ImportError as error:
        message = f"the demo needs {error.name}: install nightshift[demo], or use `make demo`"
        raise Unavailable(message) from None
    mails, ready_file, log = folder / "mails", folder / "ready.json", folder / "up.log"
    ready_file.unlink(missing_ok=True)
    say("Starting TLS servers, a mail server and Nightshift on free ports of this machine …")
    with ExitStack() as stack:
        farm = stack.enter_context(open_farm(folder))
        port = stack.enter_context(mail_sink(mails))
        stacks = stacks_or_why_not(folder)
        pin = f"{secrets.randbelow(10**_PIN_DIGITS):0{_PIN_DIGITS}}"
        estate = farm.estate_toml + (stacks.estate_toml if stacks else "")
        write_files(folder, estate, port, hosts, hash_pin(pin))
        supervisor = Supervisor()
        stack.callback(supervisor.stop, {"up": _END_SECONDS})
        argv = [sys.executable, "-m", "worker.cli", "up", "--port", "0", "--flower", "--ready-file", str(ready_file)]
        environ = {**demo_environ(folder), **(stacks.settings if stacks else {})}
        up = Process("up", argv, environ=environ, death_signal=signal.SIGTERM, log=log)
        supervisor.start(up)
        ready = _wait_for(lambda: _read(ready_file), up, log)
        house = House(load_settings(environ).settings)
        yield Stage(house, str(ready["url"]), str(ready["flower"]), mails, environ, pin, stacks)


def stacks_or_why_not(folder: Path) -> Stacks | None:
    """Two stacks to look at; without Pulumi, one line that says so."""
    try:
        return open_stacks(folder)
    except LeftOut as why:
        say(f"Left out: the Pulumi stacks. {why}.")
        return None


def demo_environ(folder: Path) -> dict[str, str]:
    """Ours without any setting: the demo must not touch a real instance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSHIFT_")}
    return {**kept, "NIGHTSHIFT_HOME": str(folder), "NIGHTSHIFT_DRAIN_SECONDS": "3"}


def play(stage: Stage, *, scripted: bool) -> list[str]:
    """Fire the night, wait, close it, tell of it; returns what should have been found and was not."""
    nights = [fire(stage.house, name, job) for name, job in stage.schedules.items()]
    for name, asked in zip(stage.schedules, nights, strict=True):
        say(f"The night of schedule {name} begins: looking at the estate …")
        wait_for(asked, quiet=False)
    closed = close_night_now(stage.house.shift, stage.house.routing(), stage.url, actor())
    with stage.house.ledger.read() as connection:
        found = [row for job in stage.schedules.values() for row in findings.listing(connection, job=job)]
    say("")
    show_findings(found)
    say("")
    for run in (run for asked in nights for run in asked.runs()):
        say(f"Run {run.id}: {run.state}, {run.summary}")
    digest = digest_file(stage, closed.message.id) if closed else None
    tell(stage, digest, scripted=scripted)
    troubles = missing(found, stage.expected) + ([] if digest else ["no digest arrived by mail"])
    troubles += show_proposals(stage.house.ledger) if stage.stacks else []
    troubles += mend_all(stage) if scripted else tell_how(stage.house.ledger, stage.mails, stage.pin)
    for trouble in troubles:
        say(f"NOT AS EXPECTED  {trouble}")
    return troubles


def mend_all(stage: Stage) -> list[str]:
    """Two renewals, approved and proved, and the audit of it all."""
    troubles = mend(stage.house.ledger, stage.mails, stage.pin)
    return [*troubles, *look_again(stage.house.shift), *verify_audit(stage.environ)]


def fire(house: House, schedule: str, job: str) -> Asked:
    """Tonight's batch; when this home had its night already, one more look."""
    made = join_night(house.shift, schedule, actor())
    if made.joined:
        request = Request(orders=[Order(job=job)], trigger=Trigger.CLI, actor=actor(), note="one more demo")
        made = enqueue(house.shift, request)
    return Asked(house.shift, made.batch.id, made.joined)


def digest_file(stage: Stage, message_id: str) -> Path | None:
    """The mail of the night's digest; None if it did not come."""
    deadline = time.monotonic() + _MAIL_SECONDS
    while time.monotonic() < deadline:
        with stage.house.ledger.read() as connection:
            if telling.was_sent(connection, message_id, "mail"):
                break
        time.sleep(0.05)
    mails = sorted(stage.mails.glob("*.eml"), reverse=True)
    return next((mail for mail in mails if message_id.encode() in mail.read_bytes()), None)


def tell(stage: Stage, digest: Path | None, *, scripted: bool) -> None:
    """Where everything is to be seen."""
    say(f"Digest:  {digest or 'none'}")
    say(f"Console: {stage.url}")
    if not scripted:
        say(f"         {login_link(stage.house.shift, stage.url)}  (signs in once)")
    say(f"Flower:  {stage.flower}")


def _wait_for(ready: Callable[[], dict[str, object] | None], up: Process, log: Path) -> dict[str, object]:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and up.alive():
        if found := ready():
            return found
        time.sleep(0.02)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:])
    message = f"`nightshift up` did not become ready; its last lines were:\n{tail}"
    raise Unavailable(message)


def _read(path: Path) -> dict[str, object] | None:
    if not path.exists():
        return None
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found
