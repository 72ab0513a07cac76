"""The rows of the ledger as plain frozen values, and their states. No SQL, no clock, no behaviour beyond what a state means."""

from worker.records.actors import Actor, ActorKind, AuditEntry, ChainedEntry, TokenRow
from worker.records.approvals import (
    Approval,
    ApprovalState,
    Choice,
    Decision,
    EffectOutcome,
    Link,
    LinkPurpose,
    PinTries,
    PlanRow,
    Risk,
    Via,
)
from worker.records.findings import FindingKind, FindingRow, FindingState
from worker.records.gates import AskedHow, EventKind, Gate, Subscription, SubscriptionState
from worker.records.runs import Batch, Effect, Run, RunKind, RunState, Trigger, Verdict
from worker.records.standing import LedgerState, Revision, ScheduleRow
from worker.records.telling import DeliveryRow, DeliveryState, OutboxRow, Topic

__all__ = [
    "Actor",
    "ActorKind",
    "Approval",
    "ApprovalState",
    "AskedHow",
    "AuditEntry",
    "Batch",
    "ChainedEntry",
    "Choice",
    "Decision",
    "DeliveryRow",
    "DeliveryState",
    "Effect",
    "EffectOutcome",
    "EventKind",
    "FindingKind",
    "FindingRow",
    "FindingState",
    "Gate",
    "LedgerState",
    "Link",
    "LinkPurpose",
    "OutboxRow",
    "PinTries",
    "PlanRow",
    "Revision",
    "Risk",
    "Run",
    "RunKind",
    "RunState",
    "ScheduleRow",
    "Subscription",
    "SubscriptionState",
    "TokenRow",
    "Topic",
    "Trigger",
    "Verdict",
    "Via",
]
