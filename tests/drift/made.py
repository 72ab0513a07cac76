"""Looks and states made by hand: resources `a`, `b`, … of a fake cloud, one difference a line."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tasks.model import Json
from tasks.stacks import (
    ChangeKind,
    FailedRead,
    Lock,
    Look,
    Looked,
    PropertyChange,
    ResourceChange,
    State,
    StateResource,
)

THING = "fakecloud:index:Thing"
NAME = "organization/lab/dev"


def urn(name: str, kind: str = THING) -> str:
    return f"urn:pulumi:dev::lab::{kind}::{name}"


def prop(path: str, before: Json = None, after: Json = None, kind: ChangeKind = "update", *, masked: str = "") -> PropertyChange:
    return PropertyChange(path=path, kind=kind, before=before, after=after, masked=bool(masked), fingerprint=masked)


def change(
    name: str, *properties: PropertyChange, operation: str = "update", version: str = "1.0.0", kind: str = THING
) -> ResourceChange:
    return ResourceChange(
        urn=urn(name, kind),
        type=kind,
        name=name,
        operation=operation,  # type: ignore[arg-type]
        properties=properties,
        provider=f"fakecloud {version}",
        provider_name=f"default_{version.replace('.', '_')}",
        id=name,
    )


def size(name: str, before: Json, after: Json, version: str = "1.0.0") -> ResourceChange:
    return change(name, prop("size", before, after), version=version)


def gone(name: str) -> ResourceChange:
    return change(name, operation="delete")


def look(
    looked: Looked,
    *changes: ResourceChange,
    failed: Sequence[str] = (),
    complete: bool = True,
    states: tuple[str, str] = ("s1", "s1"),
    refreshed: Sequence[ResourceChange] = (),
    hidden: Sequence[ResourceChange] = (),
    seen: Sequence[str] = (),
) -> Look:
    return Look(
        looked=looked,
        changes=changes,
        same=0,
        failed=tuple(FailedRead(urn=urn(name), reason="credentials_expired", detail="403 Forbidden") for name in failed),
        complete=complete and not failed,
        state_before=states[0],
        state_after=states[1],
        elapsed=timedelta(seconds=1),
        exit_code=0 if complete and not failed else 1,
        refreshed=tuple(refreshed),
        hidden=tuple(hidden),
        seen=tuple(urn(name) for name in seen),
    )


def resource(
    name: str,
    *,
    inputs: Sequence[str] = ("size", "label"),
    ignored: Sequence[str] = (),
    provider: str = "fakecloud 1.0.0",
    provider_name: str = "default_1_0_0",
    kind: str = THING,
    custom: bool = True,
) -> StateResource:
    return StateResource(
        urn=urn(name, kind),
        type=kind,
        id=name,
        provider=provider,
        provider_name=provider_name,
        custom=custom,
        external=False,
        protected=False,
        ignored=tuple(ignored),
        inputs=tuple(inputs),
    )


def state(*resources: StateResource, sha256: str = "s1", pending: Sequence[str] = (), lock: Lock | None = None) -> State:
    return State(
        sha256=sha256,
        resources=resources or tuple(resource(name) for name in "abc"),
        pending_operations=tuple(pending),
        lock=lock,
        updated_at=datetime(2026, 11, 20, 15, 0, tzinfo=UTC),
        git_commit="c0ffee",
    )


def held_since(since: datetime) -> Lock:
    return Lock(user="ana", host="laptop", pid=42, since=since)
