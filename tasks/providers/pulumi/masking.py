"""What of a property may be shown. A secret is whatever any of these says: the event, the state, the name, the look of the value.

Pulumi's own masking is not enough: a provider that accepts secrets decides what of its answer is one, so a property that the
program marked secret can come back from the cloud in clear.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tasks.masking import Mask, texts_in
from tasks.model import Json
from tasks.providers.pulumi.checkpoint import is_secret
from tasks.providers.pulumi.paths import ABSENT, PropertyPath, overlaps

MASKED = "[secret]"
"""What the engine writes instead."""
_NAME = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|api_?key|access_?key|private_?key|signing_?key"
    r"|encryption_?key|credential|connection_?string|\bpwd\b|authorization|\bpin\b|dsn\b|webhook_?url|client_?key",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(
    r"(arn|id|ids|name|names|version|versions|type|expir\w*|ttl|length|policy|enabled|rotation\w*)$", re.IGNORECASE
)
"""`secretArn`, `tokenTtl`, `passwordPolicy` speak about a secret and are none."""
_LOOKS_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[opsu]_\w{20,}|\bgithub_pat_\w{20,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bsk_(live|test)_\w{10,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|\bpul-[0-9a-f]{40}\b|://[^/\s:@]+:[^/\s:@]+@"
)
_DENSE = re.compile(r"[A-Za-z0-9+/=_\-]{24,}")
_DENSE_BITS = 4.2
"""Entropy per character: above every hash in hexadecimal (4.0) and above words; 24 random characters have 4.3 and more."""
_SHORTEST_HIDDEN = 4


@dataclass
class Masker:
    """Decides per property; keeps the values that it hid, to take them out of the diagnostics of the same look, too."""

    mac: Callable[[bytes], str]
    secret_paths: Callable[[str], frozenset[PropertyPath]]
    """By URN, where the state keeps a secret."""
    granted: Mask
    hidden: set[str] = field(default_factory=set)

    def hides(self, urn: str, path: PropertyPath, *values: object) -> bool:
        """Whether a property is secret, by any rule. Remembers the values if so."""
        secret = (
            any(_marked(value) for value in values)
            or any(overlaps(path, known) for known in self.secret_paths(urn))
            or _named_secret(path, values)
            or any(looks_secret(text) for value in values for text in texts_in(value))
        )
        if secret:
            self.hidden.update(text for value in values for text in texts_in(value) if len(text) >= _SHORTEST_HIDDEN)
        return secret

    def fingerprint(self, urn: str, path: str, before: object, after: object) -> str:
        """Tells whether a secret moved between two looks; empty when its values were not to be seen."""
        if _marked(before) or _marked(after):
            return ""
        shown = [None if value is ABSENT else [value] for value in (before, after)]
        return self.mac(json.dumps([urn, path, *shown], sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def text(self, text: str) -> str:
        """Pulumi's own words without secrets: granted ones, those seen in this look, and what looks like one."""
        text = self.granted.text(text)
        for value in sorted(self.hidden - {MASKED}, key=len, reverse=True):
            text = text.replace(value, MASKED)
        return _LOOKS_SECRET.sub(MASKED, text)


def shown(value: object) -> Json:
    """A value that is no secret, as JSON; one that is not there is null."""
    return None if value is ABSENT else value  # type: ignore[return-value]  # it came out of JSON


def looks_secret(text: str) -> bool:
    """By known shapes of keys, and by entropy."""
    if _LOOKS_SECRET.search(text):
        return True
    return any(_is_dense(word) for word in _DENSE.findall(text))


def _is_dense(word: str) -> bool:
    kinds = (str.isupper, str.islower, str.isdigit)
    if not all(any(map(kind, word)) for kind in kinds):
        return False
    counts = Counter(word)
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values()) > _DENSE_BITS


def _named_secret(path: PropertyPath, values: tuple[object, ...]) -> bool:
    if any(_tells(str(step)) for step in path):
        return True
    return any(_tells(name) for value in values for name in _names(value))


def _tells(name: str) -> bool:
    return bool(_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def _marked(value: object) -> bool:
    """Whether the engine masked it or a part of it."""
    match value:
        case str():
            return value == MASKED
        case Mapping():
            return is_secret(value) or any(map(_marked, value.values()))
        case list():
            return any(map(_marked, value))
        case _:
            return False


def _names(value: object) -> Iterator[str]:
    match value:
        case Mapping():
            yield from map(str, value)
            for inner in value.values():
                yield from _names(inner)
        case list():
            for inner in value:
                yield from _names(inner)
        case _:
            pass
