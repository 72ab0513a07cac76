"""Many approved repairs on one ledger, each with its own piece of the world, and workers that die in the middle of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from tests.support.effects import PIN, PIN_HASH
from tests.support.mending import lines_of
from tests.support.waiting import PATIENCE_SECONDS, until
from worker import configuration
from worker.flow import Order, Request, enqueue, execute_run
from worker.flow.deciding import Statement, decide
from worker.ledger import approvals, audit_rows, effects, runs, schema
from worker.ledger.tables import RUNS
from worker.records import (
    Actor,
    ActorKind,
    ApprovalState,
    Choice,
    Effect,
    EffectOutcome,
    Run,
    RunKind,
    RunState,
    Trigger,
    Via,
)
from worker.settings import load_settings
from worker.sweeper import Sweeper
from worker.wiring import House

ROOT = Path(__file__).resolve().parents[2]
NIGHT = Actor(ActorKind.SCHEDULER, "night")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {
    "JOBS": "tests.support.mending:SLOTS",
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "0.4",
    "GRACE_SECONDS": "0.2",
    "MAX_ATTEMPTS": "1000",
    "LOG_LEVEL": "error",
}


@dataclass
class Ward:
    """`approve` repairs, let lives `go` and end, `nurse` what is left, and look at the `troubles`."""

    house: House
    home: Path
    environ: Mapping[str, str]
    _zygote: "subprocess.Popen[str] | None" = None
    _sweeper: Sweeper | None = None
    _repairs: int = 0
    folders: dict[str, str] = field(default_factory=dict)
    """Of each effect run."""

    def approve(self, *members: Mapping[str, Any]) -> list[Run]:
        """One entry for each, checked, asked for and approved; their runs, which nobody has rung for."""
        names = [f"shelf-{self._repairs + number}" for number in range(len(members))]
        self._repairs += len(members)
        self._configure(dict(zip(names, members, strict=True)))
        shift = replace(self.house.shift, ring=lambda _: None)
        order = Order(job="slots", params={"entries": names})
        for run in enqueue(shift, Request(orders=[order], trigger=Trigger.CLI, actor=NIGHT)).runs:
            execute_run(shift, run.id, run.job, "checks@test")
        with self.house.ledger.read() as connection:
            asked = approvals.listing(connection, states=[ApprovalState.PENDING], limit=len(names))
        by_entry = {one.entry: one for one in asked}
        found = []
        for name in names:
            one = by_entry[name]
            said = Statement(
                approval_id=one.id, person="ana", choice=Choice.APPROVE, digest=one.digest, pin=PIN, reason="", via=Via.API
            )
            started = decide(shift, said).effect_run_id
            assert started is not None
            self.folders[started] = str(self.home / "world" / name)
            found.append(self.run(started))
        return found

    def _configure(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        lines = ['[environments.prod]\nmode = "execute"\n']
        kept = self.home / "entries.json"
        known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
        known.update(entries)
        kept.write_text(json.dumps(known))
        for name, members in known.items():
            folder = self.home / "world" / name
            folder.mkdir(parents=True, exist_ok=True)
            said = {"name": name, "environment": "prod", "folder": str(folder), **members}
            lines += ["[[slots]]", *(f"{key} = {json.dumps(value)}" for key, value in said.items()), ""]
        (self.home / "estate.toml").write_text("\n".join(lines))
        (self.home / "people.toml").write_text(
            f'[[person]]\nname = "ana"\npin_hash = "{PIN_HASH}"\n[person.roles]\n"*" = ["operator"]\n'
        )
        rule = '[[rule]]\nname = "slots"\njobs = ["slots"]\nactions = ["write"]\nenvironments = ["prod"]\n'
        (self.home / "policy.toml").write_text(rule)
        found = configuration.check(self.home, self.house.jobs, self.house.zone)
        configuration.apply(self.house.ledger, found, actor=NIGHT, note="", at=self.house.shift.clock())

    def go(self, *lives: tuple[Run, str]) -> dict[str, int]:
        """One worker's life for each run, up to its break (`before:3`, `after:3`, `job:wrote`, or to its end); exit statuses."""
        zygote = self.zygote
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        zygote.stdin.write(json.dumps([(run.id, at) for run, at in lives]) + "\n")
        zygote.stdin.flush()
        statuses: dict[str, int] = json.loads(zygote.stdout.readline())
        return statuses

    @property
    def zygote(self) -> "subprocess.Popen[str]":
        if self._zygote is None:
            self._zygote = subprocess.Popen(
                [sys.executable, "-m", "tests.support.effects_zygote"],
                cwd=ROOT,
                env=dict(self.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._zygote

    def victim(self, run: Run, at: str = "") -> "subprocess.Popen[bytes]":
        """A worker's life that goes on beside us."""
        argv = [sys.executable, "-m", "tests.support.effects_zygote", run.id, at]
        return subprocess.Popen(argv, cwd=ROOT, env=dict(self.environ))

    def expire(self, *found: Run) -> None:
        """End the leases now, whoever holds them."""
        ids = [run.id for run in found]
        with self.house.ledger.transaction() as tx:
            tx.execute(update(RUNS).where(RUNS.c.id.in_(ids), RUNS.c.state == RunState.RUNNING).values(lease_until=LONG_AGO))

    def sweep(self) -> None:
        if self._sweeper is None:
            self._sweeper = Sweeper(self.house.shift)
        self._sweeper.step()

    def swept(self, *found: Run) -> None:
        """Until the sweeper has taken these from their dead owners."""

        def taken() -> bool:
            self.expire(*found)
            self.sweep()
            return all(self.run(run.id).state is not RunState.RUNNING for run in found)

        until("the sweeper takes over", taken)

    def nurse(self, *found: Run) -> None:
        """Bring every run to its end in lives that nobody cuts short."""

        def ended() -> bool:
            left = [self.run(run.id) for run in found if not self.run(run.id).state.terminal]
            for run in left:
                if run.state is RunState.QUEUED:
                    execute_run(self.house.shift, run.id, run.job, "nurse@test", [RunKind.EFFECT])
            self.expire(*left)
            self.sweep()
            return not left

        until("every repair ends", ended)

    def run(self, run_id: str) -> Run:
        with self.house.ledger.read() as connection:
            found = runs.get(connection, run_id)
        assert found is not None
        return found

    def effects(self, run: Run) -> list[Effect]:
        with self.house.ledger.read() as connection:
            return effects.of_run(connection, run.id)

    def lines(self, run: Run, slot: str = "a") -> list[tuple[int, str]]:
        return lines_of(self.folders[run.id], slot)

    def verbs(self, run: Run) -> list[str]:
        with self.house.ledger.read() as connection:
            return [row.entry.verb for row in reversed(audit_rows.recent(connection, object_id=run.id))]

    def troubles(self, *found: Run, slots: Sequence[str] = ("a",)) -> list[str]:
        """Everything that is not as it must be once all runs have ended: doubled, lost, untrue; empty is good."""
        return [trouble for run in found for trouble in self._troubles(self.run(run.id), slots)]

    def _troubles(self, run: Run, slots: Sequence[str]) -> Iterator[str]:
        outcomes = {effect.step: effect.outcome for effect in self.effects(run)}
        verbs = self.verbs(run)
        with self.house.ledger.read() as connection:
            approval = approvals.get(connection, run.approval_id or "")
        assert approval is not None
        for slot in slots:
            step = f"write-{slot}"
            times = [key for _, key in self.lines(run, slot)].count(f"{run.id}:{step}")
            said = outcomes.get(step)
            if times > 1:
                yield f"doubled: {run.id} {step} happened {times} times"
            if times and said is not EffectOutcome.APPLIED and not (said is None and run.state is RunState.NEEDS_ATTENTION):
                yield f"lost: {run.id} {step} happened, the ledger says {said} in a run that is {run.state}"
            if said is EffectOutcome.APPLIED and not times:
                yield f"untrue: {run.id} {step} did not happen, the ledger says that it did"
            if said is None and step in outcomes and run.state is not RunState.NEEDS_ATTENTION:
                yield f"forgotten: {run.id} {step} is open in a run that is {run.state}"
        applied = sum(outcome is EffectOutcome.APPLIED for outcome in outcomes.values())
        if verbs.count("effect.applied") != applied:
            yield f"audit: {run.id} tells of {verbs.count('effect.applied')} applied steps, the ledger has {applied}"
        if not run.state.terminal:
            yield f"stuck: {run.id} is {run.state}"
        if run.state is RunState.SUCCEEDED and approval.state is not ApprovalState.CARRIED_OUT:
            yield f"approval: {run.id} succeeded and its approval is {approval.state}"
        if len([verb for verb in verbs if verb in ("run.succeeded", "run.failed", "run.needs_attention")]) > 1:
            yield f"outcomes: {run.id} ended more than once: {verbs}"

    def close(self) -> None:
        if self._zygote is not None:
            assert self._zygote.stdin is not None
            assert self._zygote.stdout is not None
            self._zygote.stdin.close()
            self._zygote.wait(PATIENCE_SECONDS)
            self._zygote.stdout.close()
        self.house.ledger.close()


@contextmanager
def open_ward(home: Path, ledger_url: str, **settings: str) -> Iterator[Ward]:
    """A ward over this ledger, which it migrates."""
    home.mkdir(parents=True, exist_ok=True)
    named = {**SETTINGS, "HOME": str(home), "LEDGER_URL": ledger_url, **settings}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSHIFT_")}
    environ = {**inherited, **{f"NIGHTSHIFT_{name}": value for name, value in named.items()}, "PYTHONPATH": str(ROOT)}
    house = House(load_settings(environ).settings)
    house.shift = replace(house.shift, pace=replace(house.shift.pace, first_ring_again=timedelta(seconds=0.1)))
    schema.migrate(house.ledger)
    ward = Ward(house, home, environ)
    try:
        yield ward
    finally:
        ward.close()


def ended(ward: Ward) -> dict[str, str]:
    """State and reason of every effect run, by id."""
    with ward.house.ledger.read() as connection:
        rows = connection.execute(select(RUNS.c.id, RUNS.c.state, RUNS.c.reason).where(RUNS.c.kind == RunKind.EFFECT))
        return {row.id: f"{row.state} {row.reason}" for row in rows}
