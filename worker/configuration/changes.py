"""What differs between two configurations, told per entry, person, rule, freeze, route and schedule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from worker.configuration.documents import REFERENCE
from worker.configuration.model import Configuration
from worker.redaction import MASK, is_secret_name, mask_urls

ABSENT = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. `key`, `old` and `new` are given when something changed; secrets are masked."""

    kind: str
    """defaults, environment, entry, person, policy, rule, freeze, routes or schedule."""
    name: str
    """For an entry `certificates/www`."""
    change: Literal["added", "removed", "changed"]
    key: str = ""
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        what = f"{self.kind} {self.name}: {self.change}" if self.name else f"{self.kind}: {self.change}"
        return f"{what} {self.key}: {self.old} → {self.new}" if self.change == "changed" else what


def diff(old: Configuration | None, new: Configuration) -> list[Change]:
    """Every difference, by kind and name. Against None everything is new."""
    before, after = dict(_parts(old or Configuration())), dict(_parts(new))
    changes: list[Change] = []
    for kind, name in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, name)), after.get((kind, name))
        if was is None or now is None:
            changes.append(Change(kind=kind, name=name, change="added" if was is None else "removed"))
        else:
            changes += [
                Change(kind=kind, name=name, change="changed", key=key, old=_masked(key, a), new=_masked(key, b))
                for key, a, b in _differences(was, now)
            ]
    return changes


def _parts(configuration: Configuration) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    content = configuration.content
    for kind in ("defaults", "routes"):
        yield (kind, ""), content[kind]
    yield ("policy", ""), {name: value for name, value in content["policy"].items() if name not in ("rules", "freezes")}
    for name, environment in content["environments"].items():
        yield ("environment", name), environment
    for job, entries in content["estate"].items():
        for entry in entries:
            yield ("entry", f"{job}/{entry['name']}"), entry
    named = {"person": content["people"], "schedule": content["schedules"]}
    named |= {"rule": content["policy"]["rules"], "freeze": content["policy"]["freezes"]}
    for kind, rows in named.items():
        for row in rows:
            yield (kind, row["name"]), row


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    for name in [*old, *(name for name in new if name not in old)]:
        a, b = old.get(name, ABSENT), new.get(name, ABSENT)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differences(a, b, f"{within}{name}.")
        elif a != b:
            yield f"{within}{name}", a, b


def _masked(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    if isinstance(value, Mapping):
        return {name: _masked(name, member) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(key, member) for member in value]
    if not isinstance(value, str):
        return value
    return MASK if is_secret_name(key) and not REFERENCE.fullmatch(value) else mask_urls(value)
