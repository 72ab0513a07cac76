"""From table rows to records: column names are field names."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from secrets import randbits
from typing import Any, TypeVar

from sqlalchemy import Row

from worker.records import (
    ActorKind,
    Approval,
    ApprovalState,
    Batch,
    Choice,
    Decision,
    DeliveryRow,
    DeliveryState,
    Effect,
    EffectOutcome,
    FindingKind,
    FindingRow,
    FindingState,
    OutboxRow,
    Risk,
    Run,
    RunKind,
    RunState,
    Subscription,
    SubscriptionState,
    TokenRow,
    Topic,
    Trigger,
    Verdict,
    Via,
)

R = TypeVar("R")
ENUMS: Mapping[type, Mapping[str, type]] = {
    Run: {"kind": RunKind, "trigger": Trigger, "state": RunState, "verdict": Verdict},
    Batch: {"trigger": Trigger},
    FindingRow: {"kind": FindingKind, "state": FindingState},
    OutboxRow: {"topic": Topic},
    DeliveryRow: {"state": DeliveryState},
    TokenRow: {"kind": ActorKind},
    Approval: {"state": ApprovalState, "risk": Risk},
    Decision: {"choice": Choice, "via": Via},
    Effect: {"outcome": EffectOutcome},
    Subscription: {"state": SubscriptionState},
}


def record(kind: type[R], row: Row[Any]) -> R:
    """Build `kind` from the row's columns of the same names; enum columns become their enum."""
    values = row._mapping  # noqa: SLF001 - the documented name of a Row's mapping view
    return kind(**{name: _typed(enum, values[name]) for name, enum in _columns(kind)})  # type: ignore[arg-type]


@cache
def _columns(kind: type) -> list[tuple[str, type | None]]:
    enums = ENUMS.get(kind, {})
    return [(field.name, enums.get(field.name)) for field in fields(kind)]


def _typed(enum: type | None, value: Any) -> Any:
    return value if enum is None or value is None else enum(value)


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7) that sorts by the time it was made: the twelve bits after the version are fractions of the
    millisecond (§6.2, method 3), so that one process makes them in order.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 0x7 << 76 | (rest << 12) // 1_000_000 << 64 | 0b10 << 62 | randbits(62)
    return str(uuid.UUID(int=value))
