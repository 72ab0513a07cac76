"""Programs for the YAML language host, as values; written as JSON, which is YAML."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.lab.resources import PACKAGE, VERSIONS

Json = Any


def secret(value: Json) -> Json:
    """A value that the program marks secret, whatever its provider knows of it."""
    return {"fn::secret": value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of a program; values may be Pulumi YAML expressions such as `${server.endpoint}`."""

    properties: Mapping[str, Json]
    kind: str = "Server"
    """One of the fake cloud's, or another package's in full."""
    ignore_changes: Sequence[str] = ()
    protect: bool = False
    version: str | None = None
    """Of its provider; the program's where None."""

    @property
    def type(self) -> str:
        return self.kind if ":" in self.kind else f"{PACKAGE}:index:{self.kind}"

    def but(self, **properties: Json) -> Self:
        """The same with other properties; None takes one away."""
        merged = {name: value for name, value in {**self.properties, **properties}.items() if value is not None}
        return replace(self, properties=merged)

    def written(self, version: str) -> dict[str, Json]:
        options: dict[str, Json] = {"version": self.version or version}
        if self.ignore_changes:
            options["ignoreChanges"] = list(self.ignore_changes)
        if self.protect:
            options["protect"] = True
        return {"type": self.type, "properties": dict(self.properties), "options": options}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A whole `Pulumi.yaml`."""

    resources: Mapping[str, Resource]
    name: str = "lab"
    version: str = VERSIONS[0]
    outputs: Mapping[str, Json] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    """Names that values may use as `${name}`, with what they are unless the stack says otherwise."""

    def but(self, **resources: Resource | None) -> Self:
        """The same with other resources; None takes one away."""
        return replace(self, resources={name: one for name, one in {**self.resources, **resources}.items() if one is not None})

    def text(self) -> str:
        resources = {name: one.written(self.version) for name, one in self.resources.items()}
        asked = {name: {"type": "string", "default": value} for name, value in self.configuration.items()}
        whole = {"name": self.name, "runtime": "yaml", "config": asked, "resources": resources, "outputs": dict(self.outputs)}
        return json.dumps(whole, indent=1)

    def urn(self, stack: str, name: str) -> str:
        return f"urn:pulumi:{stack}::{self.name}::{self.resources[name].type}::{name}"
