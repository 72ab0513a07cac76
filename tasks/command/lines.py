"""What a script may say: one JSON object a line. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tasks.command.entry import CommandEntry
from tasks.masking import Mask
from tasks.model import Answer, CannotTell, Finding, Json, Ok, Severity

Short = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
EVIDENCE_CHARS = 200
MOST_ANSWERS = 1_000
"""Of one script. They are written with the run's outcome, and while they are, an embedded ledger takes nothing else."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Short | None = None
    evidence: dict[str, object] = Field(default_factory=dict)
    recheck: str | None = None


class FindingLine(_Line):
    """`{"key": …, "title": …}`: something is wrong."""

    key: Short
    title: Short
    severity: Severity | None = None
    detail: str = ""
    reason: Code = "reported"


class OkLine(_Line):
    """`{"ok": true}`: looked, and all is well."""

    ok: Literal[True]
    summary: str = ""
    reason: Code = "ok"


class CannotTellLine(_Line):
    """`{"cannot_tell": "why"}`: could not look."""

    cannot_tell: Short
    reason: Code = "script_cannot_tell"


@dataclass(frozen=True, slots=True)
class _Broken(Exception):  # noqa: N818 - never leaves this file
    column: int
    expected: str


def read(entry: CommandEntry, stdout: str, mask: Mask) -> Iterator[Answer]:
    """An answer for each line that begins with `{`; one that cannot be read is an answer too. Other lines are prose."""
    keys: dict[str, int] = {}
    told = 0
    for number, line in enumerate(stdout.split("\n"), start=1):
        if not line.lstrip().startswith("{"):
            continue
        told += 1
        if told > MOST_ANSWERS:
            yield _too_many(entry, number)
            return
        try:
            answer = _answer(entry, _parse(line))
            _once(answer, number, keys)
        except _Broken as broken:
            answer = _broken(entry, number, mask.text(line), broken)
        yield answer


def _once(answer: Answer, number: int, keys: dict[str, int]) -> None:
    if isinstance(answer, Finding) and keys.setdefault(answer.key, number) != number:
        raise _Broken(1, f"a key of its own: {answer.key!r} was said in line {keys[answer.key]} already")


def _parse(line: str) -> _Line:
    try:
        value = json.loads(line, parse_constant=_no_constant)
        _storable(value)
    except json.JSONDecodeError as error:
        raise _Broken(error.colno, f"one whole JSON object in the line ({error.msg})") from error
    except UnicodeEncodeError as error:
        raise _Broken(1, "Unicode text without half a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise _Broken(1, f"JSON as RFC 8259 has it ({error})") from error
    model = CannotTellLine if "cannot_tell" in value else OkLine if "ok" in value else FindingLine
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _wrong_key(line, model, error) from error


def _storable(value: object) -> None:
    """PostgreSQL keeps no NUL character, and UTF-8 knows no half of a surrogate pair."""
    if "\\u0000" in json.dumps(value):
        raise _Broken(1, "text without NUL characters")
    json.dumps(value, ensure_ascii=False).encode()


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _wrong_key(line: str, model: type[_Line], error: ValidationError) -> _Broken:
    first = error.errors(include_url=False, include_input=False)[0]
    key = str(first["loc"][0])
    column = max(line.find(json.dumps(key)), 0) + 1
    if first["type"] == "extra_forbidden":
        return _Broken(column, f"no key {key!r}, but only {', '.join(model.model_fields)}")
    return _Broken(column, f"{key!r}: {first['msg']}")


def _answer(entry: CommandEntry, line: _Line) -> Answer:
    subject, recheck = line.subject or entry.name, line.recheck or entry.recheck
    evidence: dict[str, Json] = line.evidence  # type: ignore[assignment]  # it came out of json.loads
    match line:
        case FindingLine():
            return Finding(
                entry=entry.name, subject=subject, key=line.key, reason=line.reason, severity=line.severity or entry.severity,
                title=" ".join(line.title.split()), detail=line.detail, evidence=evidence, recheck=recheck,
            )  # fmt: skip
        case CannotTellLine():
            return CannotTell(
                entry=entry.name, subject=subject, reason=line.reason, stage="script",
                detail=line.cannot_tell, evidence=evidence, recheck=recheck,
            )  # fmt: skip
        case OkLine():
            return Ok(
                entry=entry.name, subject=subject, reason=line.reason, summary=line.summary, evidence=evidence, recheck=recheck
            )
        case _:
            message = f"no such line: {type(line).__name__}"
            raise AssertionError(message)


def _too_many(entry: CommandEntry, number: int) -> CannotTell:
    detail = f"it said more than {MOST_ANSWERS} things; what line {number} and those behind it say was left out"
    return CannotTell(
        entry=entry.name, subject=entry.name, reason="too_many_answers", stage="output", detail=detail, recheck=entry.recheck
    )


def _broken(entry: CommandEntry, number: int, line: str, broken: _Broken) -> CannotTell:
    return CannotTell(
        entry=entry.name,
        subject=entry.name,
        reason="broken_output",
        stage="output",
        detail=f"line {number}, column {broken.column} of its output: expected {broken.expected}",
        evidence={"line": number, "column": broken.column, "text": line[:EVIDENCE_CHARS]},
        recheck=entry.recheck,
    )
