"""A vendor's published contract (Swagger 2.0), against which every exchange of a fake is checked, both directions.

What the contract does not know is refused: a member, a method, a status. Where a published contract is wrong or behind, an
`Overlay` says so and names its source.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What else is right, and where that is written."""

    source: str
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name of a request's member: its schema."""
    errors: tuple[str, ...] = ()
    """Error codes that every method may answer."""
    statuses: tuple[int, ...] = ()
    """Answered like the contract's `default`."""


class Contract:
    """One API."""

    def __init__(self, path: Path, *overlays: Overlay) -> None:
        self._document: dict[str, Any] = _closed(json.loads(path.read_bytes()))
        self._members = {name: schema for overlay in overlays for name, schema in overlay.members.items()}
        self._errors = [code for overlay in overlays for code in overlay.errors]
        self._statuses = {status for overlay in overlays for status in overlay.statuses}

    def of_request(self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> list[str]:
        """What is wrong with a request whose body is JSON."""
        operation = self._operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        parameters = {one["name"]: one for one in operation["parameters"]}
        wanted = [one for one in parameters.values() if one.get("required") and one["in"] == "formData"]
        media_type = headers.get("content-type", "").split(";")[0]
        return [
            *([] if media_type in operation["consumes"] else [f"content-type {media_type!r}: not among {operation['consumes']}"]),
            *[f"{one['name']}: is missing" for one in wanted if one["name"] not in body],
            *[f"{name}: not in the contract" for name in body if name not in parameters],
            *[wrong for name in body if name in parameters for wrong in self._value(name, parameters[name], body[name])],
        ]

    def of_response(self, method: str, path: str, status: int, body: Mapping[str, Any]) -> list[str]:
        """What is wrong with an answer."""
        operation = self._operation(method, path)
        if operation is None:
            return []
        good = status == 200 and body.get("ok") is True
        if status != 200 and status not in self._statuses:
            return [f"status {status}: not in the contract"]
        schema = operation["responses"]["200" if good else "default"]["schema"]
        if not good and body.get("error") in self._errors:
            body = {**body, "error": schema["properties"]["error"]["enum"][0]}
        return self._faults(schema, body)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        inner = path.removeprefix(self._document["basePath"])
        found: dict[str, Any] | None = self._document["paths"].get(inner, {}).get(method.lower())
        return found

    def _value(self, name: str, parameter: Mapping[str, Any], value: object) -> Iterator[str]:
        schema = self._members.get(name) or {"type": parameter["type"]}
        yield from (f"{name}: {fault}" for fault in self._faults(schema, value))

    def _faults(self, schema: Mapping[str, Any], value: object) -> list[str]:
        whole = {**schema, "definitions": self._document["definitions"]}
        return [f"{error.json_path}: {error.message[:200]}" for error in Draft4Validator(whole).iter_errors(value)]


def _closed(schema: Any) -> Any:
    """Objects with known members have no others, unless the contract says that they may."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
