"""Links to a request for one person: minted per delivery attempt, kept as hashes, read as often as a mail program likes."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from worker.flow.errors import Refused
from worker.flow.shift import Shift
from worker.ledger import approvals, links, runs
from worker.records import Approval, ApprovalState, Link, LinkPurpose, RunState
from worker.tokens import hash_token, new_link_token

RESOLVES_FOR = timedelta(days=7)
"""So long a link settles a run that needs a person; after that they sign in."""
_PURPOSES = frozenset(LinkPurpose)
_ANEW = "ask for a fresh one, or sign in with `nightshift login`"


def mint(shift: Shift, approval: Approval, person: str, channel: str, purpose: LinkPurpose = LinkPurpose.DECIDE) -> str:
    """A fresh token for `<console>/a/<token>`; the one for this purpose that the person had by this channel before is dead.

    Its hash is committed before this returns. Raises `Refused` when there is nothing to decide, or to settle, any more.
    """
    token, now = new_link_token(), shift.clock()
    with shift.ledger.transaction() as tx:
        expires_at = _expiry(tx, approval.id, purpose, now)
        links.revoke(tx, approval.id, now, purpose=purpose, person=person, channel=channel)
        link = Link(
            sha256=hash_token(token),
            person=person,
            purpose=purpose,
            approval_id=approval.id,
            channel=channel,
            created_at=now,
            expires_at=expires_at,
        )
        links.insert_link(tx, link)
    return token


def _expiry(tx: Connection, approval_id: str, purpose: LinkPurpose, now: datetime) -> datetime:
    held = approvals.hold(tx, approval_id)
    if purpose is LinkPurpose.DECIDE:
        if held is None or held.state is not ApprovalState.PENDING or held.mode != "execute":
            raise Refused(f"approval {approval_id} is not to be decided on", code="not_pending")
        return held.expires_at
    run = runs.get(tx, held.effect_run_id) if held is not None and held.effect_run_id is not None else None
    if run is None or run.state is not RunState.NEEDS_ATTENTION:
        raise Refused(f"approval {approval_id} has no run that needs a person", code="not_needs_attention")
    return now + RESOLVES_FOR


def open_link(shift: Shift, token: str) -> Link:
    """What the token of a link opens. Writes nothing: mail programs follow links. Raises `Refused`, saying which."""
    return read_link(shift, hash_token(token))


def read_link(shift: Shift, sha256: str) -> Link:
    """The same, by the hash that the cookie of an opened link names."""
    with shift.ledger.read() as connection:
        link = links.by_hash(connection, sha256)
    if link is None or link.purpose not in _PURPOSES or link.approval_id is None:
        raise Refused(f"no such link: it was cut off, or is not ours; {_ANEW}", code="link_unknown")
    decides = link.purpose == LinkPurpose.DECIDE
    if link.used_at is not None:
        did = "its decision was made" if decides else "its run was resolved"
        raise Refused(f"this link has served: {did} at {link.used_at:%Y-%m-%d %H:%M} UTC", code="link_used")
    if link.revoked_at is not None:
        why = f"a newer one was sent, or it was {'decided' if decides else 'resolved'}"
        raise Refused(f"this link is void since {link.revoked_at:%Y-%m-%d %H:%M} UTC: {why}; {_ANEW}", code="link_revoked")
    if link.expires_at <= shift.clock():
        raise Refused(f"this link expired at {link.expires_at:%Y-%m-%d %H:%M} UTC; {_ANEW}", code="link_expired")
    return link
