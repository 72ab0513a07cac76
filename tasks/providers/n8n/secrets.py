"""What looks like a secret inside a workflow. It belongs into a credential of n8n."""

import re
from collections.abc import Iterator

_PATTERNS = (
    r"(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"gh[opsru]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    r"AKIA[0-9A-Z]{16}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"sk[-_](?:live|test|proj|ant)[-_][A-Za-z0-9_-]{16,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)?",
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"(?<=://)[^/\s:@\"']+:[^/\s:@\"']+(?=@)",
    r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{16,}",
)
_SECRET = re.compile("|".join(_PATTERNS), re.IGNORECASE)
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
MASK = "•••"


def secrets_in(text: str) -> Iterator[str]:
    """Each find, cut so that it can be recognised and not used. What an expression computes is not one."""
    for found in _SECRET.finditer(_EXPRESSION.sub("{{}}", text)):
        yield f"{found[0][:6]}…"


def why_not_in_git(slug: str, text: str) -> str | None:
    """Why this text of a workflow is not committed; None: nothing in it looks like a secret."""
    found = ", ".join(sorted(set(secrets_in(text))))
    told = f"{slug}: a node holds what looks like a secret ({found}): git keeps it for ever; use a credential"
    return told if found else None


def masked(text: str) -> str:
    """`text` with each find replaced."""
    return _SECRET.sub(MASK, text)
