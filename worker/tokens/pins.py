"""PINs of people: a second proof for decisions. Kept as argon2id hashes in people.toml."""

from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PIN_SHORTEST = 6
"""At 10^6 PINs, a dozen tries before the lock-out find one in 80,000."""

_FEWEST_CHARACTERS = 3

_HASHER = PasswordHasher()


def hash_pin(pin: str) -> str:
    """The `pin_hash` for people.toml. Raises `ValueError` when the PIN is too short."""
    if len(pin) < PIN_SHORTEST:
        message = f"a PIN has at least {PIN_SHORTEST} characters"
        raise ValueError(message)
    return _HASHER.hash(pin)


def refuse_guessable(pin: str) -> None:
    """Raise `ValueError` for what is tried first: `111111`, `123456`, `654321`, `123123`. For PINs that people choose."""
    steps = {ord(after) - ord(before) for before, after in pairwise(pin)}
    if steps in ({1}, {-1}) or len(set(pin)) < _FEWEST_CHARACTERS or pin in (pin + pin)[1:-1]:
        raise ValueError("that is one of the first that anybody would try: choose one without a pattern")


def verify_pin(pin_hash: str, pin: str) -> bool:
    """Whether `pin` is the one; False also for a broken hash. Takes about 50 ms by design."""
    try:
        return _HASHER.verify(pin_hash, pin)
    except (VerificationError, InvalidHashError):
        return False


def is_pin_hash(text: str) -> bool:
    """Whether `text` was made by `hash_pin`."""
    return text.startswith("$argon2id$") and text.count("$") == 5  # noqa: PLR2004 - id, version, costs, salt, hash
