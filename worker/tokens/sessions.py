"""Sessions of people in the console: a signed cookie that says who, what they may do, and until when."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer
from pydantic import TypeAdapter

from worker.tokens.grants import Grant
from worker.tokens.instance_keys import Keys, KeysError

_GRANTS = TypeAdapter(tuple[Grant, ...])
_PURPOSE = "session"
_CSRF = "csrf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in. `id` is random: two sign-ins of one person are two sessions."""

    id: str
    person: str
    grants: tuple[Grant, ...]
    expires_at: datetime


class Sessions:
    """Opens and reads session cookies. `clock` gives aware UTC."""

    def __init__(self, keys: Keys, lifetime: timedelta, clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._lifetime = lifetime
        self._clock = clock

    def open(self, person: str, grants: tuple[Grant, ...]) -> Session:
        """A new session of `person`, from now on."""
        until = (self._clock() + self._lifetime).replace(microsecond=0)
        return Session(id=secrets.token_urlsafe(16), person=person, grants=grants, expires_at=until)

    def cookie(self, session: Session) -> str:
        """The cookie's value: `<key id>.<payload>.<signature>`."""
        key_id = self._keys.current_id
        payload = {
            "i": session.id,
            "p": session.person,
            "g": _GRANTS.dump_python(session.grants, mode="json", exclude_defaults=True),
            "e": int(session.expires_at.timestamp()),
        }
        return f"{key_id}.{self._serializer(key_id).dumps(payload)}"

    def read(self, cookie: str) -> Session | None:
        """The session, or None when the cookie is altered, expired or signed by a key that is gone."""
        key_id, _, signed = cookie.partition(".")
        try:
            payload = self._serializer(key_id).loads(signed)
        except (BadData, KeysError):
            return None
        until = datetime.fromtimestamp(payload["e"], UTC)
        if until <= self._clock():
            return None
        grants = _GRANTS.validate_python(payload["g"])
        return Session(id=payload["i"], person=payload["p"], grants=grants, expires_at=until)

    def csrf_token(self, session: Session) -> str:
        """The token that a form of this session carries."""
        key_id, mac = self._keys.mac(_CSRF, session.id.encode())
        return f"{key_id}.{mac}"

    def csrf_matches(self, session: Session, token: str) -> bool:
        """Whether `token` came from a form of this very session."""
        key_id, _, mac = token.partition(".")
        try:
            return self._keys.verify_mac(_CSRF, session.id.encode(), key_id, mac)
        except KeysError:
            return False

    def _serializer(self, key_id: str) -> URLSafeSerializer:
        _, secret = self._keys.mac(_PURPOSE, b"cookie", key_id)
        return URLSafeSerializer(secret, salt=_PURPOSE, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256})
