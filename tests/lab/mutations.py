"""One change of one property path, drawn at random: what a person does in a console, or a programmer in a program. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

Json = Any
SCALARS = ("size", "label", "enabled", "zone", "password")
TEAMS = ("blue", "red", "green", "black")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """`path` differs once the property `top` is `value`; None takes it away."""

    path: str
    top: str
    value: Json
    kind: Literal["add", "update", "delete"]


def properties(random: Random) -> dict[str, Json]:
    """Of a resource as somebody might have written it."""
    made: dict[str, Json] = {"size": random.randint(1, 50), "zone": random.choice(("east", "west")), "enabled": True}
    if random.random() < 0.8:
        made["label"] = word(random)
    if random.getrandbits(1):
        made["tags"] = {"team": random.choice(TEAMS), "cost-center": str(random.randint(100, 999))}
    if random.getrandbits(1):
        made["rules"] = [{"port": random.randint(1, 999), "cidr": "10.0.0.0/8"} for _ in range(random.randint(1, 3))]
    if random.getrandbits(1):
        made["password"] = word(random)
    if random.getrandbits(1):
        made["note"] = word(random)
    return made


def word(random: Random) -> str:
    return f"w{random.getrandbits(32):08x}"


def draw(random: Random, of: Mapping[str, Json], kinds: Sequence[str] = ("add", "update", "delete")) -> Mutation:
    """Every property has the same chance, however many ways there are to change it."""
    by_top = {top: [one for one in _of(random, top, of.get(top)) if one.kind in kinds] for top in (*SCALARS, "tags", "rules")}
    return random.choice(random.choice([ways for ways in by_top.values() if ways]))


def _of(random: Random, top: str, value: Json) -> Iterator[Mutation]:
    match top:
        case "tags":
            yield from _of_tags(random, value)
        case "rules":
            yield from _of_rules(random, value)
        case _ if value is None:
            yield Mutation(path=top, top=top, value=_FRESH[top](random, None), kind="add")
        case _:
            yield Mutation(path=top, top=top, value=_FRESH[top](random, value), kind="update")
            if top in {"label", "password"}:
                yield Mutation(path=top, top=top, value=None, kind="delete")


def _of_tags(random: Random, tags: Mapping[str, str] | None) -> Iterator[Mutation]:
    if tags is None:
        yield Mutation(path="tags", top="tags", value={"team": random.choice(TEAMS)}, kind="add")
        return
    yield Mutation(path="tags.team", top="tags", value={**tags, "team": word(random)}, kind="update")
    yield Mutation(path='tags["cost-center"]', top="tags", value={**tags, "cost-center": word(random)}, kind="update")
    yield Mutation(path="tags.extra", top="tags", value={**tags, "extra": word(random)}, kind="add")
    yield Mutation(path="tags.team", top="tags", value={"cost-center": tags["cost-center"]}, kind="delete")


def _of_rules(random: Random, rules: Sequence[Mapping[str, Json]] | None) -> Iterator[Mutation]:
    fresh = {"port": random.randint(2000, 9999), "cidr": "0.0.0.0/0"}
    if rules is None:
        yield Mutation(path="rules", top="rules", value=[fresh], kind="add")
        return
    yield Mutation(path="rules[0].port", top="rules", value=[{**rules[0], "port": fresh["port"]}, *rules[1:]], kind="update")
    yield Mutation(path=f"rules[{len(rules)}]", top="rules", value=[*rules, fresh], kind="add")
    if len(rules) > 1:
        yield Mutation(path=f"rules[{len(rules) - 1}]", top="rules", value=list(rules[:-1]), kind="delete")


_FRESH: Mapping[str, Callable[[Random, Json], Json]] = {
    "size": lambda random, old: (old or 0) + random.randint(1, 50),
    "label": lambda random, _: word(random),
    "password": lambda random, _: word(random),
    "enabled": lambda _, old: not old,
    "zone": lambda random, old: f"{old or 'zone'}-{random.randint(2, 9)}",
}
