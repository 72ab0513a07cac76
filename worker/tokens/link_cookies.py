"""What a link of a mail is exchanged for: a signed cookie for one approval, so that the token leaves the address bar."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from itsdangerous import BadData, URLSafeSerializer

from worker.records import Link, LinkPurpose
from worker.tokens.instance_keys import Keys, KeysError

_PURPOSE = "link"
_CSRF = "link csrf"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPass:
    """Proof that this browser opened a person's link. It says who looks; whether the link still holds, the ledger says."""

    id: str
    """Random: two openings of one link are two passes."""
    link_sha256: str = field(repr=False)
    approval_id: str
    person: str
    purpose: LinkPurpose
    expires_at: datetime
    spent: bool = False
    """The person has had their say with it: what became of it may still be looked at, and nothing more."""


class LinkCookies:
    """Makes and reads such cookies, of which no server keeps anything. `clock` gives aware UTC."""

    def __init__(self, keys: Keys, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._clock = clock

    def issue(self, link: Link) -> LinkPass:
        """A new pass, for as long as the link lives. It is one about an approval."""
        assert link.approval_id is not None
        return LinkPass(
            id=secrets.token_urlsafe(16),
            link_sha256=link.sha256,
            approval_id=link.approval_id,
            person=link.person,
            purpose=LinkPurpose(link.purpose),
            expires_at=link.expires_at.replace(microsecond=0),
        )

    def cookie(self, given: LinkPass) -> str:
        """The cookie's value: `<key id>.<payload>.<signature>`."""
        key_id = self._keys.current_id
        payload = {
            "i": given.id,
            "l": given.link_sha256,
            "a": given.approval_id,
            "p": given.person,
            "u": given.purpose,
            "e": int(given.expires_at.timestamp()),
            "s": given.spent,
        }
        return f"{key_id}.{self._serializer(key_id).dumps(payload)}"

    def read(self, approval_id: str, cookie: str) -> LinkPass | None:
        """The pass; None when the cookie is altered, expired, of another approval, or signed by a key that is gone."""
        key_id, _, signed = cookie.partition(".")
        try:
            payload = self._serializer(key_id).loads(signed)
        except (BadData, KeysError):
            return None
        until = datetime.fromtimestamp(payload["e"], UTC)
        if until <= self._clock() or payload["a"] != approval_id:
            return None
        return LinkPass(
            id=payload["i"],
            link_sha256=payload["l"],
            approval_id=approval_id,
            person=payload["p"],
            purpose=LinkPurpose(payload["u"]),
            expires_at=until,
            spent=payload["s"],
        )

    def csrf_token(self, given: LinkPass) -> str:
        """The token that the form of this pass carries; one that was spent gets none that would be taken."""
        key_id, mac = self._keys.mac(_CSRF, _covered(given))
        return f"{key_id}.{mac}"

    def csrf_matches(self, given: LinkPass, token: str) -> bool:
        """Whether `token` came from a form that was shown for this very pass."""
        key_id, _, mac = token.partition(".")
        try:
            return self._keys.verify_mac(_CSRF, _covered(given), key_id, mac)
        except KeysError:
            return False

    def _serializer(self, key_id: str) -> URLSafeSerializer:
        _, secret = self._keys.mac(_PURPOSE, b"cookie", key_id)
        return URLSafeSerializer(secret, salt=_PURPOSE, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256})


def _covered(given: LinkPass) -> bytes:
    return f"{given.approval_id} {given.id}".encode()
