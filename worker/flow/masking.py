"""What a run may leave in the ledger: secrets that this process has read are masked, and what it cannot keep is replaced.

Messages, callbacks and pages are made of the ledger's rows, so this is the one place that all of them pass.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace

from tasks.model import Answer, Json
from worker.flow.shown import jsonable
from worker.redaction import PROCESS

_OURS = frozenset({"entry", "severity"})
"""Members of an answer that came from us: by its entry an answer is found again."""


def masked_text(text: str) -> str:
    """One text."""
    return _keepable(PROCESS.redact(text))


def masked(value: object) -> Json:
    """Anything, as JSON; members named like secrets are masked whole."""
    return _json(PROCESS.redact_all(jsonable(value)))


def masked_facts(facts: Mapping[str, object]) -> Mapping[str, Json]:
    """The fields of a log line."""
    whole = masked(facts)
    return whole if isinstance(whole, Mapping) else {}


def masked_answer(answer: Answer) -> Answer:
    """The same answer, every word of it masked."""
    members = {f.name: masked(getattr(answer, f.name)) for f in fields(answer) if f.name not in _OURS}
    return replace(answer, **members)  # type: ignore[arg-type] # masking keeps each member's type


def masked_content(content: bytes) -> bytes:
    """The content of an artifact that is kept in clear. What is not text is kept as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    return PROCESS.redact(text).encode()


def _json(value: object) -> Json:
    match value:
        case str():
            return _keepable(value)
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {_keepable(str(name)): _json(member) for name, member in value.items()}
        case list():
            return [_json(member) for member in value]
        case _:
            return _keepable(str(value))


def _keepable(text: str) -> str:
    """PostgreSQL keeps no NUL, and nothing keeps half a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
