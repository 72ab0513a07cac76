"""A rig with the slots job, people, a policy, and the verbs of a night in one word each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.mending import SLOTS, Slots, lines_of, write
from tests.support.shift import Rig, open_rig
from worker.configuration import Person
from worker.flow import Outcome
from worker.flow.deciding import Statement, decide
from worker.flow.shift import Estate
from worker.ledger import approvals, audit_rows, plans, runs, telling
from worker.ledger.schema import migrate
from worker.policy import Policy, Rule
from worker.records import Approval, ApprovalState, AuditEntry, Choice, Decision, DeliveryState, PlanRow, Run, Via
from worker.tokens import hash_pin

PIN = "482915"
PROD = "prod"


@cache
def pin_hash() -> str:
    """Made once: argon2 takes its time."""
    return hash_pin(PIN)


def person(name: str, *roles: str, environment: str = PROD, pin: bool = True) -> Person:
    given = {environment: roles or ("operator",)}
    return Person.model_validate(
        {"name": name, "email": f"{name}@example.com", "roles": given, "pin_hash": pin_hash() if pin else None}
    )


def rule(**members: Any) -> Rule:
    return Rule.model_validate({"name": "slots", "jobs": ["slots"], "actions": ["write"], "environments": [PROD], **members})


@dataclass
class Ward:
    """One door with slots; `rig.estate[-1]` is what is in force."""

    rig: Rig
    folder: Path

    def change(self, **members: Any) -> None:
        """Another configuration in force."""
        self.rig.estate.append(replace(self.rig.estate[-1], **members))

    def entry(self, **members: Any) -> None:
        """Another shape of the door."""
        self.change(tables={"slots": {"door": door(self.folder, **members)}})

    def look(self) -> Outcome:
        """One check of the door, as ana asks for it."""
        (outcome,) = self.rig.look("slots")
        assert outcome is not None
        return outcome

    def ask(self) -> Approval:
        """Look, and the one request that came of it."""
        self.look()
        (approval,) = self.pending()
        return approval

    def approvals(self, *states: ApprovalState) -> list[Approval]:
        """Oldest first."""
        with self.rig.ledger.read() as connection:
            return approvals.listing(connection, states=states or None)[::-1]

    def pending(self) -> list[Approval]:
        return self.approvals(ApprovalState.PENDING)

    def approval(self, approval_id: str) -> Approval:
        with self.rig.ledger.read() as connection:
            found = approvals.get(connection, approval_id)
        assert found is not None
        return found

    def plan(self, digest: str) -> PlanRow:
        with self.rig.ledger.read() as connection:
            found = plans.get(connection, digest)
        assert found is not None
        return found

    def say(self, approval: Approval, name: str = "bo", choice: Choice = Choice.APPROVE, **members: Any) -> Approval:
        said = {"digest": approval.digest, "pin": PIN, "reason": "it must be", "via": Via.PAGE, **members}
        return decide(self.rig.shift, Statement(approval_id=approval.id, person=name, choice=choice, **said))

    def decisions(self, approval: Approval) -> list[Decision]:
        with self.rig.ledger.read() as connection:
            return approvals.decisions(connection, approval.id)

    def effect_runs(self) -> list[Run]:
        with self.rig.ledger.read() as connection:
            return [run for run in runs.listing(connection) if run.approval_id is not None]

    def carry_out(self) -> Outcome | None:
        """Execute the one queued effect run."""
        (run,) = (run for run in self.effect_runs() if not run.state.terminal)
        return self.rig.execute(run)

    def mend(self, name: str = "bo") -> Outcome | None:
        """Look, agree, carry out."""
        self.say(self.ask(), name)
        return self.carry_out()

    def lines(self, slot: str = "a") -> list[tuple[int, str]]:
        return lines_of(str(self.folder), slot)

    def meddle(self, value: int, slot: str = "a") -> None:
        """Somebody else changes the world."""
        write(str(self.folder), slot, value, "somebody-else")

    def audit(self, verb: str = "") -> Sequence[AuditEntry]:
        with self.rig.ledger.read() as connection:
            rows = audit_rows.recent(connection, limit=1000)
        return [row.entry for row in rows if row.entry.verb.startswith(verb)]


def undelivered(ward: Ward, subject: str) -> str:
    """Id of a result that nobody took."""
    now = ward.rig.clock()
    with ward.rig.ledger.transaction() as tx:
        row = telling.begin_delivery(tx, message_id=subject, kind="callback", channel="callback", subject=subject, at=now)
        telling.end_delivery(tx, row.id, state=DeliveryState.FAILED, detail="localhost answered 404", at=now)
    return row.id


def door(folder: Path, **members: Any) -> Slots:
    return Slots(name="door", folder=str(folder), environment=PROD, **members)


@contextmanager
def open_ward(ledger_url: str, tmp_path: Path, **members: Any) -> Iterator[Ward]:
    folder = tmp_path / "door"
    folder.mkdir()
    with open_rig(ledger_url, tmp_path, SLOTS, tables={"slots": {"door": door(folder)}}, **members) as rig:
        migrate(rig.ledger)
        estate: Estate = rig.estate[-1]
        people = (person("ana"), person("bo"), person("cy"))
        rig.estate.append(replace(estate, modes={PROD: "execute"}, policy=Policy(rules=(rule(),)), people=people))
        yield Ward(rig, folder)
