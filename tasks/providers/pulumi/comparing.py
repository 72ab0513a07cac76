"""From one engine event to what differs in one resource."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.providers.pulumi.checkpoint import Deployment
from tasks.providers.pulumi.masking import Masker, shown
from tasks.providers.pulumi.paths import ABSENT, PropertyPath, at_path, overlaps, parse_path, show_path
from tasks.stacks import ChangeKind, PropertyChange, ResourceChange

OPERATIONS: Mapping[str, str] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "replace": "replace",
    "import-replacement": "replace",
    "delete": "delete",
}
"""Pulumi's operations that say something by themselves; the other halves of a replacement (`create-replacement`,
`delete-replaced`) repeat what `replace` said."""
UNKNOWN = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""What a preview cannot know yet, by type (`sdk/go/common/resource/plugin/rpc.go`)."""
_UNKNOWN_SHOWN = "[unknown]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Turns events into changes, secrets masked."""

    deployment: Deployment
    masker: Masker

    def change(self, metadata: Mapping[str, Any], operation: str) -> ResourceChange:
        """The whole of it. A resource that comes or goes has no properties of its own."""
        old, new = metadata.get("old") or {}, metadata.get("new") or {}
        urn = str(metadata["urn"])
        whole = operation in {"create", "delete"}
        provider, provider_name = self.deployment.provider_of(str(metadata.get("provider") or ""))
        some = old or new
        return ResourceChange(
            urn=urn,
            type=str(metadata.get("type", "")),
            name=urn.rpartition("::")[2],
            operation=operation,  # type: ignore[arg-type]  # a value of OPERATIONS
            properties=() if whole else tuple(self.properties(urn, metadata, old, new)),
            provider=provider,
            provider_name=provider_name,
            id=str(some.get("id") or ""),
            protected=bool(some.get("protect")),
        )

    def properties(
        self, urn: str, metadata: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> Iterator[PropertyChange]:
        """As the provider tells them; where it only says that something differs, as the values do."""
        detailed = metadata.get("detailedDiff") or {}
        if detailed:
            for text, difference in sorted(detailed.items()):
                path, kind = parse_path(text), str(difference.get("diffKind", "update"))
                before, after = _both(path, old, new, inputs=bool(difference.get("inputDiff")))
                yield self._property(urn, text, path, kind, before, after)
            return
        named = [parse_path(str(name)) for name in metadata.get("diffs") or ()]
        for path in named or _differing_sides(old, new):
            before, after = _both(path, old, new, inputs=True)
            yield self._property(urn, show_path(path), path, _kind(before, after), before, after)

    def hidden(self, urn: str, metadata: Mapping[str, Any], ignored: Sequence[str]) -> ResourceChange | None:
        """What differs in a resource that Pulumi calls the same, under its `ignoreChanges`."""
        old, new = metadata.get("old") or {}, metadata.get("new") or {}
        under = [parse_path(text) for text in ignored]
        found = [
            self._property(urn, show_path(path), path, _kind(before, after), before, after)
            for path in _differing(old.get("inputs") or {}, new.get("inputs") or {}, ())
            if any(overlaps(path, one) for one in under)
            for before, after in [_both(path, old, new, inputs=True)]
        ]
        if not found:
            return None
        whole = self.change({**metadata, "detailedDiff": None, "diffs": None, "old": None, "new": None}, "update")
        return _with(whole, tuple(found), str(old.get("id") or ""), protected=bool(old.get("protect")))

    def _property(self, urn: str, text: str, path: PropertyPath, kind: str, before: object, after: object) -> PropertyChange:
        masked = self.masker.hides(urn, path, before, after)
        return PropertyChange(
            path=text,
            kind=_plain_kind(kind),
            before=None if masked else shown(_known(before)),
            after=None if masked else shown(_known(after)),
            masked=masked,
            fingerprint=self.masker.fingerprint(urn, text, before, after) if masked else "",
            replaces=kind.endswith("replace"),
        )


def _with(change: ResourceChange, properties: tuple[PropertyChange, ...], identifier: str, *, protected: bool) -> ResourceChange:
    from dataclasses import replace  # noqa: PLC0415

    return replace(change, properties=properties, id=identifier, protected=protected)


def _both(path: PropertyPath, old: Mapping[str, Any], new: Mapping[str, Any], *, inputs: bool) -> tuple[object, object]:
    """Both values, from inputs or from outputs. A provider's word on where it looked is not always right: then the other side."""
    sides = ("inputs", "outputs") if inputs else ("outputs", "inputs")
    pairs = [(at_path(old.get(side) or {}, path), at_path(new.get(side) or {}, path)) for side in sides]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


def _differing_sides(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[PropertyPath]:
    for side in ("inputs", "outputs"):
        found = list(_differing(old.get(side) or {}, new.get(side) or {}, ()))
        if found:
            return found
    return []


def _differing(old: object, new: object, path: PropertyPath) -> Iterator[PropertyPath]:
    """The deepest paths at which two values differ; lists of unlike length differ as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            if not name.startswith("__"):
                yield from _differing(old.get(name, ABSENT), new.get(name, ABSENT), (*path, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (mine, theirs) in enumerate(zip(old, new, strict=True)):
            yield from _differing(mine, theirs, (*path, index))
    elif old != new:
        yield path


def _kind(before: object, after: object) -> str:
    return "add" if before is ABSENT else "delete" if after is ABSENT else "update"


def _plain_kind(kind: str) -> ChangeKind:
    plain = kind.removesuffix("-replace")
    return plain if plain in {"add", "update", "delete"} else "update"  # type: ignore[return-value]  # narrowed by the test


def _known(value: object) -> object:
    match value:
        case str():
            return _UNKNOWN_SHOWN if value in UNKNOWN else value
        case Mapping():
            return {name: _known(inner) for name, inner in value.items()}
        case list():
            return [_known(inner) for inner in value]
        case _:
            return value
