"""The examinations of `doctor`. Each looks and says; none raises, none changes anything."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import select

from notifications.config import build_channel
from worker import configuration, logs
from worker.cli.auditing import unchained_for_long
from worker.cli.opening import checked, loaded
from worker.cli.refusals import told
from worker.cli.serving import broker_trouble
from worker.cli.standing import remarks
from worker.configuration import Configuration
from worker.flow.nights.coverage import unscheduled
from worker.ledger import revisions, telling
from worker.ledger.types import database_now
from worker.records import DeliveryRow, DeliveryState
from worker.wiring import House

State = Literal["ok", "warn", "fail"]
_SKEW = timedelta(seconds=5)
_LITTLE_DISK_BYTES = 1 * 2**30
_NO_DISK_BYTES = 100 * 2**20
_FAILED_SINCE = timedelta(days=7)
_MANY = 1000
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's."""

    name: str
    state: State
    found: str
    advice: str = ""

    def shown(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


Examination = Callable[[House], Iterator[Check]]


def examine() -> list[Check]:
    """All examinations; those of the ledger only while it answers."""
    logs.configure("console", "error")
    house = House(loaded().settings)
    checks = [check for look in (_python, _home, _disk) for check in look(house)]
    ledger = list(_guarded("ledger", _ledger, house))
    checks += ledger
    rest: list[tuple[str, Examination]] = [("broker", _broker), ("keys", _keys), ("files", _files)]
    if ledger[0].state == "ok":
        rest += [("clock", _clock), ("audit", _audit), ("worker", _worker), ("channels", _channels)]
        rest += [("deliveries", _deliveries), ("brakes", _brakes), ("policy", _policy), ("schedules", _unscheduled)]
        rest += [("pulumi", _pulumi)]
    return checks + [check for name, look in rest for check in _guarded(name, look, house)]


def _guarded(name: str, look: Examination, house: House) -> Iterator[Check]:
    try:
        yield from look(house)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the doctor is for
        found, _ = told(error) or (f"{type(error).__name__}: {error}", 0)
        first, _, advice = found.partition("\n")
        yield Check(name, "fail", first, advice.strip())


def _python(_: House) -> Iterator[Check]:
    shown = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if good else "fail", f"{shown} at {sys.executable}", "" if good else "Python 3.11 or newer is needed"
    )


def _home(house: House) -> Iterator[Check]:
    home = house.settings.home
    if not home.exists():
        yield Check("home", "warn", f"{home} is not there yet", "`nightshift up` makes it")
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    if not os.access(home, os.W_OK):
        yield Check("home", "fail", f"{home} cannot be written", "run as its owner, or set NIGHTSHIFT_HOME")
    elif mode & 0o077:
        yield Check("home", "warn", f"{home} has mode {mode:04o}: others of this machine can look into it", f"chmod 700 {home}")
    else:
        yield Check("home", "ok", str(home))


def _disk(house: House) -> Iterator[Check]:
    place = next(path for path in (house.settings.home, *house.settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    state: State = "fail" if free < _NO_DISK_BYTES else "warn" if free < _LITTLE_DISK_BYTES else "ok"
    yield Check("disk", state, f"{free / 2**30:.1f} GiB free at {place}", "" if state == "ok" else "make room: the ledger grows")


def _ledger(house: House) -> Iterator[Check]:
    checked(house.ledger)
    yield Check("ledger", "ok", f"{house.ledger.url.render_as_string()} answers, its schema is this version's")


def _broker(house: House) -> Iterator[Check]:
    trouble = broker_trouble(house)
    if house.broker and trouble is None:
        yield Check("broker", "ok", f"the doorbell answers ({house.broker.kind})")
        return
    found, _, advice = (trouble or "").partition("; ")
    yield Check("broker", "fail" if house.broker else "warn", found, advice)


def _keys(house: House) -> Iterator[Check]:
    folder = house.settings.home / "keys"
    if house.settings.key_file is None and not folder.exists():
        yield Check("keys", "warn", "there are no instance keys yet", "the first `nightshift up` makes them")
        return
    yield Check("keys", "ok", f"{len(house.keys.ids())} there, current {house.keys.current_id}")
    for path in [house.settings.key_file] if house.settings.key_file else sorted(folder.glob("*.key")):
        if path.stat().st_mode & 0o077:
            yield Check("keys", "fail", f"{path} can be read by others", f"chmod 600 {path}, then `nightshift keys rotate`")


def _files(house: House) -> Iterator[Check]:
    home = house.settings.home
    if not home.is_dir():
        return
    try:
        found = configuration.check(home, house.jobs, house.zone)
    except configuration.ConfigurationError as error:
        yield from (
            Check("configuration", "fail", str(problem), "correct the line, then `nightshift config apply`")
            for problem in error.problems
        )
        return
    entries = sum(map(len, found.estate.values()))
    advice = "" if entries else "name what to look at in estate.toml"
    yield Check(
        "configuration", "ok" if entries else "warn", f"valid, {entries} entries, {len(found.schedules)} schedules", advice
    )


def _pulumi(house: House) -> Iterator[Check]:
    found = configuration.current(house.ledger)
    needed = bool(found and found[1].estate.get("drift"))
    for remark in house.stacks.examined(needed=needed):
        yield Check("pulumi", remark.state, remark.found, remark.advice)


def _clock(house: House) -> Iterator[Check]:
    with house.ledger.read() as connection:
        theirs = connection.execute(select(database_now())).scalar_one()
    skew = abs(house.shift.clock() - theirs)
    advice = "" if skew < _SKEW else "set both clocks by NTP: schedules go by ours, leases by the ledger's"
    yield Check("clock", "ok" if skew < _SKEW else "warn", f"{skew.total_seconds():.1f} s from the ledger's", advice)


def _audit(house: House) -> Iterator[Check]:
    late = unchained_for_long(house.shift)
    advice = "start `nightshift up` or `nightshift relay`, which chain them" if late else ""
    yield Check("audit", "warn" if late else "ok", f"{late} entries wait for the chain for more than 60 s", advice)


def _worker(house: House) -> Iterator[Check]:
    if house.broker is None:
        yield Check("worker", "warn", "none can be asked without a broker", "`nightshift up`")
        return
    answers = house.celery.control.ping(timeout=1.0) or []
    names = sorted(name for answer in answers for name in answer)
    advice = "" if names else "`nightshift up` or `nightshift worker` carries out runs"
    yield Check("worker", "ok" if names else "warn", ", ".join(names) or "no worker answers", advice)


def _channels(house: House) -> Iterator[Check]:
    in_force = configuration.current(house.ledger)
    if in_force is None:
        yield Check("channels", "warn", "no configuration is in force", "`nightshift config apply`")
        return
    yield from _each_channel(house, in_force[1])


def _each_channel(house: House, found: Configuration) -> Iterator[Check]:
    for name, channel in sorted(found.routing.channels.items()):
        try:
            build_channel(channel, house.secrets)
        except Exception as error:  # noqa: BLE001 - an outsider's channel may raise anything
            yield Check(f"channel {name}", "fail", str(error), "set it in the environment of the relay, or correct routes.toml")
        else:
            yield Check(f"channel {name}", "ok", channel.kind)


def _deliveries(house: House) -> Iterator[Check]:
    """Of each channel, what it did not take: the newest stands for all."""
    since = house.shift.clock() - _FAILED_SINCE
    with house.ledger.read() as connection:
        retried = telling.deliveries(connection, state=DeliveryState.SENDING, limit=_MANY)
        failed = telling.deliveries(connection, state=DeliveryState.FAILED, limit=_MANY)
    troubled = [("being retried", row) for row in retried if row.attempts > 1 or row.detail]
    troubled += [("failed", row) for row in failed if row.created_at >= since]
    groups: dict[tuple[str, str], list[DeliveryRow]] = {}
    for what, row in troubled:
        groups.setdefault((row.channel, what), []).append(row)
    for (channel, what), rows in sorted(groups.items()):
        found = f"{len(rows)} {'delivery' if len(rows) == 1 else 'deliveries'} {what}: {rows[0].detail or 'no answer'}"
        yield Check(f"channel {channel}", "warn", found, "see that its receiver answers, or correct routes.toml")


def _brakes(house: House) -> Iterator[Check]:
    with house.ledger.read() as connection:
        state = revisions.state(connection)
    if state.frozen_by is None:
        yield Check("brakes", "ok", "neither frozen nor killed")
        return
    found = f"{'killed' if state.killed else 'frozen'} by {state.frozen_by}: {state.frozen_reason}"
    yield Check("brakes", "warn", found, "no effect step starts until `nightshift thaw --reason …`")


def _policy(house: House) -> Iterator[Check]:
    found = remarks(house.shift)
    if not found:
        yield Check("policy", "ok", "whatever a rule allows, somebody can decide")
    for remark in found:
        yield Check("policy", "warn", remark.found, remark.advice)


def _unscheduled(house: House) -> Iterator[Check]:
    by_job: dict[str, list[str]] = {}
    for entry in unscheduled(house.shift):
        job, _, name = entry.partition("/")
        by_job.setdefault(job, []).append(name)
    for job, names in sorted(by_job.items()):
        told_names = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        yield Check("schedules", "warn", f"no schedule selects {job}: {told_names}", "add one in schedules/, or widen a `select`")
