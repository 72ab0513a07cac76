"""Who may do what, and the proofs of it: instance keys, API and link tokens, grants, console sessions, PINs."""

from worker.tokens.grants import ROLES, Grant, Role, Verb, allows, grants_of_role
from worker.tokens.instance_keys import Keys, KeysError
from worker.tokens.link_cookies import LinkCookies, LinkPass
from worker.tokens.pins import PIN_SHORTEST, hash_pin, verify_pin
from worker.tokens.random_tokens import API_PREFIX, hash_token, new_api_token, new_link_token
from worker.tokens.sessions import Session, Sessions

__all__ = [
    "API_PREFIX",
    "PIN_SHORTEST",
    "ROLES",
    "Grant",
    "Keys",
    "KeysError",
    "LinkCookies",
    "LinkPass",
    "Role",
    "Session",
    "Sessions",
    "Verb",
    "allows",
    "grants_of_role",
    "hash_pin",
    "hash_token",
    "new_api_token",
    "new_link_token",
    "verify_pin",
]
