"""The seal: a plan as exact bytes, and their digest. What people approve is the digest; what runs is what it covers.

Format: `nightshift-plan-v1`, a newline, and RFC 8785 JSON. No clock values, no prose, no simulation.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

from tasks.model import Plan, Reversibility, Step

HEADER = b"nightshift-plan-v1\n"
_MOST_SHOWN = 50
_FIRST_FLOAT = 2**53
_PLAIN = re.compile(r"(?![0-9]+$)[\w-]+")
"""Names that stand in a path as they are; others are quoted, lest two paths look the same."""


class OldSeal(Exception):  # noqa: N818 - states a condition
    """Bytes that this version does not read: the world is planned anew, and people are asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A plan with what it stands for, and its exact bytes."""

    plan: Plan
    subject: str
    cause: str
    rule: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256, hex."""
        return hashlib.sha256(self.content).hexdigest()


def seal(plan: Plan, *, subject: str, cause: str, rule: str) -> Sealed:
    """The plan under `rule` of the policy. Raises `ValueError` for what JSON cannot say (NaN, integers beyond 2^53)."""
    body = {
        "job": plan.job,
        "subject": subject,
        "cause": cause,
        "rule": rule,
        "scope": plan.scope,
        "account": plan.account,
        "parameters": plan.parameters,
        "findings": sorted(plan.finding_keys),
        "steps": [asdict(step) for step in plan.steps],
        "rollback": [asdict(step) for step in plan.rollback],
    }
    try:
        content = HEADER + rfc8785.dumps(json.loads(json.dumps(body, allow_nan=False)))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"plan of {plan.job}: {error}") from error
    return Sealed(plan=plan, subject=subject, cause=cause, rule=rule, content=content)


def unseal(content: bytes) -> Sealed:
    """The plan in `content`; sealed again it gives the same bytes. Raises `OldSeal` for another format."""
    if not content.startswith(HEADER):
        shown = content.partition(b"\n")[0][:40]
        raise OldSeal(f"sealed as {shown!r}, this version reads {HEADER.strip().decode()}")
    try:
        body = _body(content)
        plan = Plan(
            job=body["job"],
            scope=body["scope"],
            account=body["account"],
            parameters=body["parameters"],
            finding_keys=tuple(body["findings"]),
            steps=tuple(map(_step, body["steps"])),
            rollback=tuple(map(_step, body["rollback"])),
        )
        return Sealed(plan=plan, subject=body["subject"], cause=body["cause"], rule=body["rule"], content=content)
    except (KeyError, TypeError, ValueError) as error:
        raise OldSeal(f"sealed with other members than this version reads: {type(error).__name__}") from None


def moved(old: bytes, new: bytes) -> list[str]:
    """What differs between two sealed plans, one line a member: `steps.0.before: "31" → "20"`."""
    was, now = dict(_leaves("", _body(old))), dict(_leaves("", _body(new)))
    lines = [
        f"{path}: {was.get(path, 'nothing')} → {now.get(path, 'nothing')}"
        for path in sorted(was.keys() | now.keys())
        if was.get(path) != now.get(path)
    ]
    more = len(lines) - _MOST_SHOWN
    return [*lines[:_MOST_SHOWN], f"and {more} more"] if more > 0 else lines


def _step(members: dict[str, Any]) -> Step:
    typed = {"reversibility": Reversibility(members["reversibility"]), "depends_on": tuple(members["depends_on"])}
    return Step(**{**members, **typed})


def _body(content: bytes) -> Any:  # noqa: ANN401 - JSON
    return json.loads(content.partition(b"\n")[2], parse_int=_number)


def _number(digits: str) -> int | float:
    """RFC 8785 writes large floats without a point; only those are beyond what it takes as an integer."""
    number = int(digits)
    return number if abs(number) < _FIRST_FLOAT else float(digits)


def _leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping() if value:
            for name, member in value.items():
                shown = name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False)
                yield from _leaves(f"{path}.{shown}" if path else shown, member)
        case list() if value:
            for index, member in enumerate(value):
                yield from _leaves(f"{path}.{index}", member)
        case _:
            yield path, json.dumps(value, ensure_ascii=False)
