"""Takes the secrets that a script was given out of what it printed."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

from tasks.model import Answer, Json

MASK = "***"
SHORTEST_LINE = 6
"""Of a secret of many lines (a key file) each line is masked too, unless it is so short that it is everywhere."""
SHORTEST_PIECE = 4


@dataclass(frozen=True, slots=True)
class Mask:
    """Replaces every secret by `***`; longest first, so that one inside another leaves no rest."""

    secrets: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> Self:
        shapes: set[str] = set()
        for value in values:
            lines = [line.strip() for line in value.splitlines()]
            for text in (value, value.strip(), *(line for line in lines if len(line) >= SHORTEST_LINE)):
                # As it is, as JSON writes it, and as our own messages quote it.
                shapes |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
            if len(value) >= SHORTEST_PIECE:
                shapes |= _base64(value)
        return cls(tuple(sorted(filter(None, shapes), key=len, reverse=True)))

    def text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return text

    def cut(self, text: str) -> str:
        """`text`, which was cut anywhere: a secret's beginning at its end is masked as well."""
        masked = self.text(text)
        for secret in self.secrets:
            for length in range(len(secret) - 1, SHORTEST_PIECE - 1, -1):
                if masked.endswith(secret[:length]):
                    return masked[:-length] + MASK
        return masked

    def json(self, value: Json) -> Json:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(key): self.json(inner) for key, inner in value.items()}
            case Sequence():
                return [self.json(inner) for inner in value]
            case _:
                return value

    def answer(self, answer: Answer) -> Answer:
        """The same answer, every word of it masked; its own entry's name excepted, which came from us."""
        masked = {field.name: self.json(getattr(answer, field.name)) for field in fields(answer) if field.name not in KEPT}
        return replace(answer, **masked)  # type: ignore[arg-type]  # masking keeps each member's type


def texts_in(value: object) -> Iterator[str]:
    """Every text in a value, however deep; names of members excepted."""
    match value:
        case str():
            yield value
        case Mapping():
            yield from (text for member in value.values() for text in texts_in(member))
        case list() | tuple() | set() | frozenset():
            yield from (text for member in value for text in texts_in(member))


def _base64(value: str) -> set[str]:
    """As a header or a Kubernetes secret holds it; its padding shows nothing."""
    content = value.encode(errors="surrogateescape")
    return {encoded(content).decode().rstrip("=") for encoded in (b64encode, urlsafe_b64encode)}


KEPT = frozenset({"entry", "severity"})
