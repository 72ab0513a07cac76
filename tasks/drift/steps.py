"""The steps of a proposal: which resource, from which values to which, and whether it can be undone. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from tasks.drift.classes import Classified
from tasks.drift.sets import differences
from tasks.drift.severity import is_stateful
from tasks.model import Json, Reversibility, Step
from tasks.stacks import ResourceChange


def reverting(changes: Iterable[ResourceChange], drifted: Sequence[Classified]) -> list[Step]:
    """A step a resource; `before` is the cloud as D read it, `after` what the program says. In the order of URNs."""
    actual = {one.key: one for one in drifted}
    return [_revert(change, actual) for change in sorted(changes, key=lambda one: one.urn)]


def accepting(drifted: Sequence[Classified]) -> list[Step]:
    """A step a resource; `before` is what the state has, `after` the cloud."""
    by_urn: dict[str, list[Classified]] = {}
    for one in drifted:
        by_urn.setdefault(one.urn, []).append(one)
    return [_accept(by_urn[urn]) for urn in sorted(by_urn)]


def _revert(change: ResourceChange, actual: Mapping[str, Classified]) -> Step:
    before: dict[str, Json] = {}
    after: dict[str, Json] = {}
    told: list[Json] = []
    for one in sorted(differences([change]), key=lambda one: one.path):
        drift = actual.get(one.key)
        masked = one.change.masked or bool(drift and drift.masked)
        was = drift.actual if drift else one.change.before
        before[one.path] = _secret(drift.fingerprint if drift else one.fingerprint) if masked else was
        after[one.path] = _secret(one.fingerprint) if masked else one.change.after
        told.append({"path": one.path, "kind": one.change.kind, "replaces": one.change.replaces, "drift": drift is not None})
    return Step(
        id=_id(change),
        action="revert",
        target=change.urn,
        arguments={
            "operation": change.operation, "type": change.type, "id": change.id, "protected": change.protected, "changes": told,
        },
        before=before,
        after=after,
        precondition=_hash(before),
        reversibility=reversibility(change),
    )  # fmt: skip


def _accept(found: Sequence[Classified]) -> Step:
    resource = found[0].resource
    ordered = sorted(found, key=lambda one: one.path)
    before = {one.path: _secret(one.fingerprint) if one.masked else one.last_known for one in ordered}
    after = {one.path: _secret(one.fingerprint) if one.masked else one.actual for one in ordered}
    return Step(
        id=_id(resource),
        action="accept",
        target=resource.urn,
        arguments={"operation": resource.operation, "type": resource.type, "id": resource.id},
        before=before,
        after=after,
        precondition=_hash(after),
        # A resource that the state forgot is imported again; a property is refreshed again.
        reversibility=Reversibility.R2 if any(one.gone for one in found) else Reversibility.R1,
    )


def reversibility(change: ResourceChange) -> Reversibility:
    """R1: in place. R2: made again, under a new identity. R3: what was in it is lost."""
    replaces = change.operation == "replace" or any(one.replaces for one in change.properties)
    if change.operation == "delete" or (replaces and is_stateful(change.type)):
        return Reversibility.R3
    return Reversibility.R2 if replaces or change.operation == "create" else Reversibility.R1


def _secret(fingerprint: str) -> Json:
    return {"secret": fingerprint}


def _id(resource: ResourceChange) -> str:
    return f"{resource.name}-{hashlib.sha256(resource.urn.encode()).hexdigest()[:8]}"


def _hash(values: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
