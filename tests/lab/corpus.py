"""The labelled corpus: stacks of about fifty resources, each a case, in clouds with knobs turned. Pure but for `build`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random
from typing import Any

from tests.lab.cases import IN_PLACE, TROUBLED, UPGRADED, WHOLE, Case, Expected, Kind
from tests.lab.lab import Lab, LabStack
from tests.lab.mutations import properties
from tests.lab.program import Program, Resource

Json = Any
SIZE = 50
Key = tuple[str, str]
"""URN and property path."""


class Trouble(StrEnum):
    """What befalls a whole stack."""

    NONE = ""
    WRONG_ACCOUNT = "wrong account"
    REJECTED = "credentials rejected"
    EXPIRES = "credentials expire in mid-scan"
    REFUSED = "throttled beyond patience"
    DIES = "provider dies"
    CRASHED = "update crashed"
    PARTIAL = "update failed in part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One stack of the corpus, before there is one."""

    name: str
    cases: Mapping[str, Case]
    knobs: Mapping[str, Json] = field(default_factory=dict)
    trouble: Trouble = Trouble.NONE

    @property
    def deployed(self) -> Program:
        return self._program(lambda case: case.deployed)

    @property
    def wanted(self) -> Program:
        return self._program(lambda case: case.wanted)

    def labels(self) -> dict[Key, Expected]:
        """Of every path that is not the same everywhere."""
        stack = self.name
        everything = Program(resources={name: _either(case) for name, case in self.cases.items()}, name="corpus")
        return {
            (everything.urn(stack, name), path): expected
            for name, case in self.cases.items()
            for path, expected in case.labels.items()
        }

    def _program(self, of: Callable[[Case], Resource | None]) -> Program:
        found = {name: resource for name, case in self.cases.items() if (resource := of(case)) is not None}
        return Program(resources=found, name="corpus")


def plots(seed: int, *, prefix: str, count: int) -> list[Plot]:
    """`count` stacks, the same for the same seed. The first ones are sound, then every trouble has its turn."""
    return [_plot(Random(f"{seed}/{number}"), f"{prefix}{number}", number) for number in range(count)]  # noqa: S311 - no secrets


_SETTINGS: Sequence[tuple[Mapping[Kind, int], Mapping[str, Json], Trouble]] = (
    (IN_PLACE, {}, Trouble.NONE),
    (TROUBLED, {"noise": True}, Trouble.NONE),
    ({**IN_PLACE, **UPGRADED}, {}, Trouble.NONE),
    (IN_PLACE, {"accept_secrets": False}, Trouble.NONE),
    (TROUBLED, {"read_seconds": 0.02, "requests_per_second": 400}, Trouble.NONE),
    ({**TROUBLED, **UPGRADED}, {"noise": True, "accept_secrets": False}, Trouble.NONE),
    (IN_PLACE, {"wrong_account": True}, Trouble.WRONG_ACCOUNT),
    (IN_PLACE, {}, Trouble.CRASHED),
    (IN_PLACE, {"rejects": "configure"}, Trouble.REJECTED),
    (IN_PLACE, {"expires_after_reads": 20}, Trouble.EXPIRES),
    (IN_PLACE, {}, Trouble.PARTIAL),
    (IN_PLACE, {"requests_per_second": 100, "throttle_patience_seconds": 0.03}, Trouble.REFUSED),
    (IN_PLACE, {"dies_reading": ["r07"]}, Trouble.DIES),
)


def _plot(random: Random, name: str, number: int) -> Plot:
    kinds, knobs, trouble = _SETTINGS[number % len(_SETTINGS)]
    if trouble in _INTERRUPTED:
        return Plot(name=name, cases=_interrupted(random, trouble), trouble=trouble)
    return Plot(name=name, cases=_cases(random, kinds), knobs=knobs, trouble=trouble)


def _cases(random: Random, kinds: Mapping[Kind, int]) -> dict[str, Case]:
    """One of each kind, and the rest by weight."""
    drawn = list(kinds)
    weights = list(accumulate(kinds.values()))
    drawn += random.choices(list(kinds), cum_weights=weights, k=max(0, SIZE - len(drawn)))
    random.shuffle(drawn)
    return {f"r{number:02}": make(random) for number, make in enumerate(drawn)}


_INTERRUPTED = {Trouble.CRASHED, Trouble.PARTIAL}


def _interrupted(random: Random, trouble: Trouble) -> dict[str, Case]:
    """An update that ended in the middle: what it wrote is in the cloud and in the program, and the state has not heard of it."""
    cases = _cases(random, {kind: weight for kind, weight in IN_PLACE.items() if kind.__name__ in {"quiet", "drift", "ignored"}})
    struck = Resource(properties={**properties(random), "size": 1, "label": "before"})
    wanted = struck.but(size=2, label="after")
    written = {"size", "label"} if trouble is Trouble.CRASHED else {"size"}
    labels = {path: Expected.ADOPTED if path in written else Expected.UNDEPLOYED for path in ("size", "label")}
    return {**cases, STRUCK: Case(kind=trouble, deployed=struck, wanted=wanted, labels=labels)}


STRUCK = "struck"


def build(lab: Lab, plot: Plot, account: str) -> LabStack:
    """The stack, by one real `up`; then all that happened to it since. The knobs are turned for `account` alone."""
    lab.cloud.turn(account, accept_secrets=plot.knobs.get("accept_secrets", True))
    stack = lab.stack(plot.deployed, plot.name, account=account)
    lab.write(stack, plot.wanted)
    if plot.trouble in _INTERRUPTED:
        _interrupt(lab, stack, plot, account)
    for name, case in plot.cases.items():
        _befall(lab, stack.id(name), case, account)
    by_id: dict[str, Json] = {
        "dies_reading": [stack.id(name) for name in plot.knobs.get("dies_reading", ())],
        "failing": [stack.id(name) for name, case in plot.cases.items() if case.failing],
        "unsettled": {stack.id(name): case.unsettled for name, case in plot.cases.items() if case.unsettled},
    }
    lab.cloud.turn(account, **{**plot.knobs, **by_id})
    return stack


def _interrupt(lab: Lab, stack: LabStack, plot: Plot, account: str) -> None:
    """An `up` of the struck resource that does not end well; the others are left for what befalls them later."""
    object_id = stack.id(STRUCK)
    crash = {"crashes": {object_id: "after"}} if plot.trouble is Trouble.CRASHED else {"partial_writes": {object_id: ["size"]}}
    lab.cloud.turn(account, **crash)
    done = lab.run(stack, "up", "--yes", "--skip-preview", "--target", stack.urn(STRUCK))
    assert done.exit_code != 0, "the update should not have ended well"
    lab.cloud.turn(account, crashes={}, partial_writes={})


def _befall(lab: Lab, object_id: str, case: Case, account: str) -> None:
    before = lab.cloud.get(object_id, account)
    if case.removed:
        lab.cloud.remove(object_id, account)
    if case.edits:
        lab.cloud.change(object_id, account, seen_after_reads=case.stale_reads, **case.edits)
    if case.lies:
        assert before is not None
        told = [None if lie is None else _edited({**before, **lie}) for lie in case.lies]
        lab.cloud.answer(object_id, *told, account=account)


def _edited(properties: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in properties.items() if value is not None}


def _either(case: Case) -> Resource:
    resource = case.wanted or case.deployed
    assert resource is not None
    return resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one class: how many there are, how many were told, how many of these are right."""

    expected: int = 0
    told: int = 0
    right: int = 0

    @property
    def recall(self) -> float:
        return self.right / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.told if self.told else 1.0


def scores(expected: Mapping[Key, Expected], told: Mapping[Key, Expected]) -> dict[Expected, Score]:
    return {
        one: Score(
            expected=sum(label is one for label in expected.values()),
            told=sum(label is one for label in told.values()),
            right=sum(expected.get(key) is one for key, label in told.items() if label is one),
        )
        for one in Expected
    }


def table(found: Mapping[Expected, Score]) -> str:
    rows = [
        f"{one:<14} {s.expected:>8} {s.told:>6} {s.right:>6} {s.recall:>8.1%} {s.precision:>10.1%}" for one, s in found.items()
    ]
    return "\n".join([f"{'class':<14} {'expected':>8} {'told':>6} {'right':>6} {'recall':>8} {'precision':>10}", *rows])


__all__ = ["SIZE", "WHOLE", "Key", "Plot", "Score", "Trouble", "build", "plots", "scores", "table"]
