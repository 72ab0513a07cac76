"""Sealed plans, each stored once by its digest, and the findings they would mend."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, insert, select, update

from worker.ledger.approval_tables import PLAN_FINDINGS, PLANS
from worker.ledger.rows import record
from worker.ledger.tables import FINDINGS
from worker.records import FindingRow, PlanRow

_SEALED = frozenset({"digest", "content", "job", "subject", "cause", "reversibility", "created_at"})


def keep(tx: Connection, plan: PlanRow, findings: Iterable[str]) -> bool:
    """Store the plan unless its digest is there already, and tie it to these findings. True: it is new.

    The sealed bytes never change; what lies beside them (the simulation, the soft pins, who planned it) is the newest.
    """
    values = asdict(plan)
    known = tx.execute(select(PLANS.c.digest).where(PLANS.c.digest == plan.digest)).first() is not None
    if known:
        beside = {name: value for name, value in values.items() if name not in _SEALED}
        tx.execute(update(PLANS).where(PLANS.c.digest == plan.digest).values(beside))
    else:
        tx.execute(insert(PLANS).values(values))
    tied = set(tx.execute(select(PLAN_FINDINGS.c.finding_id).where(PLAN_FINDINGS.c.digest == plan.digest)).scalars())
    for finding_id in sorted(set(findings) - tied):
        tx.execute(insert(PLAN_FINDINGS).values(digest=plan.digest, finding_id=finding_id))
    return not known


def get(connection: Connection, digest: str) -> PlanRow | None:
    row = connection.execute(select(PLANS).where(PLANS.c.digest == digest)).first()
    return record(PlanRow, row) if row else None


def findings(connection: Connection, digest: str) -> list[FindingRow]:
    """What the plan would mend, as it stands now."""
    statement = select(FINDINGS).join(PLAN_FINDINGS, PLAN_FINDINGS.c.finding_id == FINDINGS.c.id)
    rows = connection.execute(statement.where(PLAN_FINDINGS.c.digest == digest).order_by(FINDINGS.c.key))
    return [record(FindingRow, row) for row in rows]


def of_finding(connection: Connection, finding_id: str) -> list[str]:
    """Digests of the plans that would mend this finding."""
    statement = select(PLAN_FINDINGS.c.digest).where(PLAN_FINDINGS.c.finding_id == finding_id)
    return list(connection.execute(statement).scalars())
