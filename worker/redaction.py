"""What must never be shown: values read as secrets, members named like secrets, passwords in URLs."""

import json
import re
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote

MASK = "***"
SHORTEST = 4
"""Shorter values are not searched for: they would blank out half of every line."""
SHORTEST_LINE = 16
"""Of a value of many lines (a PEM key), each line as long as this is a secret of its own."""

_SECRET_NAME = re.compile(
    r"secret(?!ar)|token(?!i[sz])|passw(?:or)?d|passphrase|credential|(?:api|private|access)[_\-]?key"
    r"|(?:^|[_\-.\s])(?:pin|pin_hash|authorization|cookie)$",
    re.IGNORECASE,
)
_ABOUT_ONE = re.compile(r"[_\-.\s](?:files?|paths?|dir|folder|used|limit|count|name|names|reference)$", re.IGNORECASE)
"""`token_file` and `tokens_used` tell of secrets and hold none."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_USERINFO = re.compile(r"(?P<start>[a-zA-Z][a-zA-Z0-9+.\-]*://[^\s/:@?#'\"]*:)[^\s/@'\"]+(?=@)")
_QUERY = re.compile(r"(?P<start>[?&](?:password|passwd|token|secret|api_?key|access_token|signature)=)[^&\s'\"]+", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a member of that name holds a secret: `smtp_password`, `AWS_SECRET_ACCESS_KEY`, `pin`, `clientSecret`."""
    spread = _CAMEL.sub("_", name)
    return _SECRET_NAME.search(spread) is not None and _ABOUT_ONE.search(spread) is None


def mask_urls(text: str) -> str:
    """`text` with the passwords of its URLs masked."""
    if "://" not in text:
        return text
    return _QUERY.sub(rf"\g<start>{MASK}", _USERINFO.sub(rf"\g<start>{MASK}", text))


class Redactor:
    """Remembers secret values and blanks them out wherever they turn up. Threads may share it."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def remember(self, value: str) -> None:
        """From now on `value` is masked, also as JSON, `repr` or a URL would write it."""
        with self._lock:
            before = len(self._values)
            self._values.update(_spellings(value))
            if len(self._values) > before:
                longest_first = sorted(self._values, key=lambda text: (-len(text), text))
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """`text` without any remembered value and without passwords in URLs."""
        pattern = self._pattern
        return mask_urls(pattern.sub(MASK, text) if pattern else text)

    def redact_all(self, value: object) -> object:
        """The same for anything nested; members named like secrets are masked whole. Keeps what JSON can say."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.redact(value)
            case Mapping():
                return {self.redact(str(name)): self._member(str(name), member) for name, member in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.redact_all(member) for member in value]
            case bytes():
                return self.redact(value.decode("utf-8", "replace"))
            case _:
                return self.redact(str(value))

    def _member(self, name: str, value: object) -> object:
        hidden = is_secret_name(name) and value is not None and not isinstance(value, bool)
        return MASK if hidden else self.redact_all(value)


def _spellings(value: str) -> Iterator[str]:
    candidates = [value, value.strip()]
    if "\n" in value:
        candidates += [line.strip() for line in value.splitlines() if len(line.strip()) >= SHORTEST_LINE and "-----" not in line]
    for text in candidates:
        if len(text) >= SHORTEST:
            yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
            yield from (repr(text)[1:-1], quote(text), quote(text, safe=""))
            content = text.encode(errors="surrogateescape")
            yield from (b64encode(content).decode().rstrip("="), urlsafe_b64encode(content).decode().rstrip("="))


PROCESS = Redactor()
"""The one of this process: every secret that was read is known to it."""
