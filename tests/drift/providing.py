"""The provider under test, over a laboratory."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tasks.errors import ProviderError
from tasks.providers.pulumi import PulumiStacks
from tasks.stacks import Look, Looked, Stack
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource

LONG = timedelta(seconds=90)
PROVIDER = "tests.lab.provider"
"""In the command line of the fake cloud's provider."""


def mac(content: bytes) -> str:
    return hmac.digest(b"a key of the test's own", content, "sha256").hex()


@dataclass
class References:
    """Reads `file:PATH`, and `env:NAME` from `values`; keeps what it was asked for."""

    values: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, reference: str) -> str:
        self.asked.append(reference)
        scheme, _, name = reference.partition(":")
        if scheme == "file":
            return Path(name).read_text()
        if reference not in self.values:
            raise ProviderError(f"{reference}: no such secret", stage="secret")
        return self.values[reference]


@dataclass
class Looker:
    """Looks at stacks of one laboratory."""

    lab: Lab
    stacks: PulumiStacks
    scratch: Path

    def look(self, stack: LabStack, looked: Looked = Looked.D, **changes: Any) -> Look:
        return self.at(self.lab.value(stack, **changes), looked)

    def at(
        self,
        stack: Stack,
        looked: Looked = Looked.D,
        *,
        deadline: timedelta = LONG,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Look:
        return self.stacks.look(stack, looked, deadline=deadline, scratch=self.scratch, cancelled=cancelled)


def looker(lab: Lab, references: References | None = None, **members: Any) -> Looker:
    """The provider with the laboratory's CLI and plugins, and nothing of this machine's."""
    stacks = PulumiStacks(
        secrets=references or References(),
        mac=mac,
        cache=lab.folder / "cache",
        program=lab.programs.pulumi,
        plugins=lab.plugins,
        **members,
    )
    return Looker(lab, stacks, lab.folder / "scratch")


def servers(**sizes: int) -> Program:
    return Program(resources={name: Resource(properties={"size": size, "label": name}) for name, size in sizes.items()})


def seen(look: Look) -> dict[str, tuple[str, dict[str, tuple[object, object]]]]:
    """Per changed resource its operation and, by path, both values."""
    return {
        change.name: (change.operation, {one.path: (one.before, one.after) for one in change.properties})
        for change in look.changes
    }


def names(urns: tuple[str, ...]) -> set[str]:
    return {urn.rpartition("::")[2] for urn in urns}


def left_of(lab: Lab) -> list[str]:
    """Command lines of living processes of looks in this laboratory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, line = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if str(lab.folder).encode() in environment and b"NIGHTSHIFT_KEEPER" in environment:
            found.append(line.replace(b"\0", b" ").decode())
    return found
