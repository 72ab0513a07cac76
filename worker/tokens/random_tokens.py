"""API and link tokens: 32 random bytes, shown once, kept as a hash."""

import hashlib
import secrets

from worker.redaction import PROCESS

API_PREFIX = "nst_"
"""So that a scanner of repositories and logs can tell what it found."""
TOKEN_BYTES = 32


def new_api_token() -> str:
    """A fresh API token; keep only its `hash_token`."""
    return _remembered(API_PREFIX + secrets.token_urlsafe(TOKEN_BYTES))


def new_link_token() -> str:
    """A fresh token for a link in a message; keep only its `hash_token`."""
    return _remembered(secrets.token_urlsafe(TOKEN_BYTES))


def hash_token(text: str) -> str:
    """SHA-256, hex. No salt: 256 random bits cannot be guessed from their hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def _remembered(token: str) -> str:
    PROCESS.remember(token)
    return token
