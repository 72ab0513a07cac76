"""A rig whose job mends slots for real: from the check over the request and the yes to the run that carries it out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.job import Job
from tasks.providers.process import LocalCommands
from tests.support.mending import SLOTS, Slots
from tests.support.shift import Rig, open_rig, request
from worker.configuration import Person
from worker.configuration.model import PersonRole
from worker.flow import Order, Outcome, enqueue
from worker.flow.deciding import Statement, decide
from worker.flow.shift import Estate
from worker.ledger import approvals, audit_rows, effects, outbox
from worker.policy import Policy, Rule
from worker.records import Actor, ActorKind, Approval, ApprovalState, AuditEntry, Choice, Effect, Run, Topic, Via
from worker.tokens import hash_pin

PIN = "271828"
PIN_HASH = hash_pin(PIN)
ENTRY = "shelf"
NIGHT = Actor(ActorKind.SCHEDULER, "night")
RULE = Rule(name="slots", jobs=("slots",), actions=("write",), environments=("default",))


def person(name: str, role: PersonRole = "operator") -> Person:
    """Somebody with this role everywhere, and the PIN."""
    return Person(name=name, roles={"*": (role,)}, pin_hash=PIN_HASH)


def estate_for(entries: dict[str, Slots], rule: Rule = RULE) -> Estate:
    """Environment `default` is in `execute`, ana and ben may decide."""
    return Estate(
        revision=None,
        tables={"slots": entries},
        defaults={"environment": "default", "owner": "", "labels": {}},
        modes={"default": "execute"},
        schedules={},
        policy=Policy(rules=(rule,)),
        people=(person("ana"), person("ben")),
    )


@dataclass
class Repair:
    """`ask`, `approve`, `carry`; the folder is the outside world."""

    rig: Rig
    folder: Path

    @property
    def estate(self) -> Estate:
        return self.rig.estate[-1]

    def set(self, **members: Any) -> None:
        """Another estate in force: `policy`, `people`, `modes`, `tables`."""
        self.rig.estate.append(replace(self.estate, **members))

    def entry(self, **members: Any) -> None:
        """The one entry, with these members."""
        entry = Slots(**{"name": ENTRY, "folder": str(self.folder), **members})
        self.set(tables={"slots": {ENTRY: entry}})

    def ask(self, name: str = ENTRY) -> Approval:
        """What the check of tonight asks for."""
        asked = enqueue(self.rig.shift, request(Order(job="slots", params={"entries": [name]}), actor=NIGHT))
        for run in asked.runs:
            self.rig.execute(run)
        with self.rig.ledger.read() as connection:
            [approval] = approvals.listing(connection, states=[ApprovalState.PENDING], limit=1)
        return approval

    def approve(self, approval: Approval | None = None, name: str = "ana") -> Run:
        """The last yes that is needed; the run that it starts."""
        asked = approval or self.ask()
        said = Statement(
            approval_id=asked.id, person=name, choice=Choice.APPROVE, digest=asked.digest, pin=PIN, reason="", via=Via.API
        )
        decided = decide(self.rig.shift, said)
        assert decided.effect_run_id is not None
        return self.rig.run(decided.effect_run_id)

    def carry(self, run: Run) -> Outcome | None:
        return self.rig.execute(run)

    def mend(self) -> tuple[Run, Outcome]:
        """All of it: the run as it ended, and its outcome."""
        run = self.approve()
        outcome = self.carry(run)
        assert outcome is not None
        return self.rig.run(run.id), outcome

    def approval(self, run: Run) -> Approval:
        assert run.approval_id is not None
        with self.rig.ledger.read() as connection:
            found = approvals.get(connection, run.approval_id)
        assert found is not None
        return found

    def effects(self, run: Run) -> list[Effect]:
        with self.rig.ledger.read() as connection:
            return effects.of_run(connection, run.id)

    def outcomes(self, run: Run) -> dict[str, str | None]:
        """By step."""
        return {effect.step: effect.outcome for effect in self.effects(run)}

    def audit(self, object_id: str) -> list[AuditEntry]:
        """Oldest first."""
        with self.rig.ledger.read() as connection:
            return [row.entry for row in reversed(audit_rows.recent(connection, object_id=object_id))]

    def verbs(self, object_id: str) -> list[str]:
        return [entry.verb for entry in self.audit(object_id)]

    def messages(self, kind: str) -> list[str]:
        """Subjects of messages of that kind that wait to be told."""
        later = self.rig.clock() + timedelta(days=365)
        with self.rig.ledger.read() as connection:
            return [row.subject for row in outbox.due(connection, Topic.MESSAGE, later, 999) if row.payload["kind"] == kind]

    def bells(self, run: Run) -> list[datetime]:
        """When the run is to be rung for."""
        later = self.rig.clock() + timedelta(days=365)
        with self.rig.ledger.read() as connection:
            return [row.not_before for row in outbox.due(connection, Topic.BELL, later, 999) if row.subject == run.id]


@contextmanager
def open_repair(ledger_url: str, home: Path, job: Job[Any] = SLOTS, **members: Any) -> Iterator[Repair]:
    """Over a migrated ledger; one entry with one slot that does not hold what it should."""
    folder = home / "world"
    folder.mkdir()
    with open_rig(ledger_url, home, job, commands=LocalCommands(), **members) as rig:
        rig.estate.append(estate_for({}))
        repair = Repair(rig, folder)
        repair.entry()
        yield repair
