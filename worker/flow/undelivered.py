"""Results that never reached whoever asked: told as one finding, sent again on request, or put away with a reason."""

from dataclasses import replace

from worker.flow.errors import Invalid, NotFound, Refused
from worker.flow.nights.own import open_own, resolve_own
from worker.flow.shift import Shift
from worker.flow.verbs import note
from worker.ledger import batches, outbox, revisions, telling
from worker.ledger.tables import STATE
from worker.records import Actor, ActorKind, DeliveryRow, DeliveryState, Topic

CALLBACK = "callback"
_KEY = "callback_undelivered"
_ENTRY = "callbacks"
_RELAY = Actor(ActorKind.RELAY, "relay")


def resend(shift: Shift, delivery_id: str, actor: Actor) -> DeliveryRow:
    """failed → sending: the same result, once more, with a day's patience. Raises `NotFound`, `Refused`."""
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        row = telling.delivery(tx, delivery_id)
        if row is None:
            raise NotFound(f"no delivery {delivery_id[:64]!r}", code="unknown_delivery")
        batch = batches.get(tx, row.subject) if row.kind == CALLBACK else None
        if batch is None or batch.callback is None:
            told = f"delivery {row.id} is a {row.kind}: only a result that did not reach a callback is sent again"
            raise Refused(told, code="not_resendable")
        if not telling.change_delivery(tx, row.id, DeliveryState.SENDING, from_state=DeliveryState.FAILED, at=None):
            told = f"delivery {row.id} is {row.state}: only a failed one is sent again, lest a Wait is resumed twice"
            raise Refused(told, code="wrong_state")
        outbox.put(tx, Topic.CALLBACK, batch.id, at=now, not_before=now, payload={"resent": delivery_id})
        note(tx, now, actor, "delivery.resent", "delivery", row.id, batch=batch.id)
        return replace(row, state=DeliveryState.SENDING, ended_at=None)


def put_away(shift: Shift, delivery_id: str, actor: Actor, reason: str) -> DeliveryRow:
    """failed → disabled: nobody waits for it any more; the result itself stays in the batch. Raises `NotFound`, `Refused`."""
    if not reason.strip():
        raise Invalid("`reason` is empty: say why, it is kept in the audit", field="reason")
    now = shift.clock()
    with shift.ledger.transaction() as tx:
        row = telling.delivery(tx, delivery_id)
        if row is None:
            raise NotFound(f"no delivery {delivery_id[:64]!r}", code="unknown_delivery")
        if not telling.change_delivery(tx, row.id, DeliveryState.DISABLED, from_state=DeliveryState.FAILED, at=now):
            raise Refused(f"delivery {row.id} is {row.state}: only a failed one is put away", code="wrong_state")
        note(tx, now, actor, "delivery.put_away", "delivery", row.id, reason=reason)
    tell_undelivered(shift)
    return replace(row, state=DeliveryState.DISABLED, ended_at=now)


def tell_undelivered(shift: Shift) -> None:
    """One finding while there is any such result; over once each was delivered or put away."""
    with shift.ledger.transaction() as tx:
        # Holds the ledger's one state row: several relays tell of it one by one.
        revisions.set_state(tx, revision=STATE.c.revision)
        failed = telling.deliveries(tx, state=DeliveryState.FAILED, kind=CALLBACK, limit=1000)
        if not failed:
            resolve_own(shift, tx, _RELAY, entry=_ENTRY, key=_KEY)
            return
        newest, many = failed[0], len(failed)
        open_own(
            shift,
            tx,
            _RELAY,
            entry=_ENTRY,
            key=_KEY,
            reason=_KEY,
            title=f"{many} result{'s' if many > 1 else ''} did not reach whoever asked",
            detail=f"The newest: {newest.detail} (batch {newest.subject}). `nightshift deliveries --failed` lists them, "
            f"`nightshift resend {newest.id}` sends one again; the results stay in their batches.",
        )
