"""Links to a request for one person: minted per delivery attempt, kept as hashes, read as often as a mail program likes."""

from worker.flow.errors import Refused
from worker.flow.shift import Shift
from worker.ledger import approvals, links
from worker.records import Approval, ApprovalState, Link
from worker.tokens import hash_token, new_link_token

DECIDE = "decide"
_ANEW = "ask for a fresh one, or sign in with `nightshift login`"


def mint(shift: Shift, approval: Approval, person: str, channel: str) -> str:
    """A fresh token for `<console>/a/<token>`; the one that this person had by this channel before is dead.

    Its hash is committed before this returns. Raises `Refused` when nobody can decide on the request any more.
    """
    token, now = new_link_token(), shift.clock()
    with shift.ledger.transaction() as tx:
        held = approvals.hold(tx, approval.id)
        if held is None or held.state is not ApprovalState.PENDING or held.mode != "execute":
            raise Refused(f"approval {approval.id} is not to be decided on", code="not_pending")
        links.revoke(tx, approval.id, now, person=person, channel=channel)
        link = Link(
            sha256=hash_token(token),
            person=person,
            purpose=DECIDE,
            approval_id=approval.id,
            channel=channel,
            created_at=now,
            expires_at=held.expires_at,
        )
        links.insert_link(tx, link)
    return token


def open_link(shift: Shift, token: str) -> Link:
    """What the token of a link opens. Writes nothing: mail programs follow links. Raises `Refused`, saying which."""
    return read_link(shift, hash_token(token))


def read_link(shift: Shift, sha256: str) -> Link:
    """The same, by the hash that the cookie of an opened link names."""
    with shift.ledger.read() as connection:
        link = links.by_hash(connection, sha256)
    if link is None or link.purpose != DECIDE or link.approval_id is None:
        raise Refused(f"no such link: it was cut off, or is not ours; {_ANEW}", code="link_unknown")
    if link.used_at is not None:
        raise Refused(f"this link has served: its decision was made at {link.used_at:%Y-%m-%d %H:%M} UTC", code="link_used")
    if link.revoked_at is not None:
        told = f"this link is void since {link.revoked_at:%Y-%m-%d %H:%M} UTC: a newer one was sent, or it was decided"
        raise Refused(f"{told}; {_ANEW}", code="link_revoked")
    if link.expires_at <= shift.clock():
        raise Refused(f"this link expired at {link.expires_at:%Y-%m-%d %H:%M} UTC; {_ANEW}", code="link_expired")
    return link
