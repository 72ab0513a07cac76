"""What looking again says, address by address. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tasks.certificates.renewal.world import Leaf, World
from tasks.context import Probe
from tasks.model import Json, Verification, VerificationVerdict


class Standing(StrEnum):
    """How one address stands, measured by what was pinned."""

    RENEWED = "renewed"
    """It had the finding, and serves another certificate that lasts longer and is in order."""
    FINE = "fine"
    """It had no finding, passes the checks, and its certificate expires no earlier than before."""
    UNCHANGED = "unchanged"
    """It had the finding, and serves the same certificate as before."""
    NOT_MENDED = "not mended"
    """Another certificate, or no finding before; but the checks still say something of it."""
    WORSE = "worse"
    """Another certificate, which expires earlier or has a trouble that the one before had not."""
    CANNOT_TELL = "cannot tell"


_WELL = {Standing.RENEWED, Standing.FINE}
_SAID: Mapping[Standing, str] = {
    Standing.RENEWED: "is renewed",
    Standing.FINE: "is fine",
    Standing.UNCHANGED: "is as it was",
    Standing.NOT_MENDED: "is not mended",
    Standing.WORSE: "is worse than before",
    Standing.CANNOT_TELL: "cannot be judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the plan says of the addresses before it."""

    leaves: Mapping[str, Leaf]
    due: frozenset[str]
    in_file: str | None = None
    """Hash of the certificate that the file held."""

    @classmethod
    def of(cls, before: Json) -> "Pins":
        assert isinstance(before, Mapping)
        addresses, due = before["addresses"], before["due"]
        assert isinstance(addresses, Mapping)
        assert isinstance(due, Sequence)
        leaves = {address: Leaf.of_pin(pin) for address, pin in addresses.items() if isinstance(pin, Mapping)}
        file = before["certificate_file"]
        in_file = str(file["sha256"]) if isinstance(file, Mapping) else None
        return cls(leaves=leaves, due=frozenset(map(str, due)), in_file=in_file)


def standings(pins: Pins, world: World) -> dict[str, Standing]:
    """Of every address that was pinned or is there now."""
    now = world.leaves()
    failed = {
        address: Standing.WORSE if failure.reason == "unparseable_certificate" else Standing.CANNOT_TELL
        for address, failure in world.failures.items()
    }
    seen = {address: _standing(pins, address, leaf) for address, leaf in now.items()}
    unseen = dict.fromkeys(pins.leaves, Standing.CANNOT_TELL)
    return dict(sorted({**unseen, **failed, **seen}.items()))


def _standing(pins: Pins, address: str, leaf: Leaf) -> Standing:
    before = pins.leaves.get(address)
    troubled = bool(leaf.passing or leaf.troubles)
    if before is None:
        return Standing.NOT_MENDED if troubled else Standing.FINE
    due = address in pins.due
    if leaf.sha256 == before.sha256:
        if due:
            return Standing.UNCHANGED
        return Standing.NOT_MENDED if troubled else Standing.FINE
    if leaf.ends < before.ends or set(leaf.troubles) - set(before.troubles) or "not_yet_valid" in leaf.passing:
        return Standing.WORSE
    if due:
        return Standing.NOT_MENDED if leaf.passing or leaf.ends == before.ends else Standing.RENEWED
    return Standing.NOT_MENDED if troubled else Standing.FINE


def verdict(stand: Mapping[str, Standing]) -> VerificationVerdict:
    """The worst decides; what cannot be seen is never called well."""
    there = set(stand.values())
    if Standing.WORSE in there:
        return VerificationVerdict.WORSE
    if Standing.CANNOT_TELL in there or not there:
        return VerificationVerdict.CANNOT_TELL
    if there <= _WELL:
        return VerificationVerdict.VERIFIED
    if Standing.RENEWED not in there and Standing.NOT_MENDED not in there:
        return VerificationVerdict.UNCHANGED
    return VerificationVerdict.PARTIAL


def verification(pins: Pins, world: World, recheck: Callable[[Probe], str]) -> Verification:
    """The verdict, naming every address with what was seen there; `recheck` says how to look at one by hand."""
    stand = standings(pins, world)
    now = world.leaves()
    evidence: dict[str, Json] = {address: _seen(stand[address], now.get(address), world, address) for address in stand}
    worst_first = sorted(stand, key=lambda address: (-list(Standing).index(stand[address]), address))
    detail = "; ".join(_told(address, stand[address], pins, now.get(address), world) for address in worst_first)
    unwell = [address for address in worst_first if stand[address] not in _WELL and address in world.probes]
    rechecks = tuple(recheck(world.probes[address]) for address in unwell)
    return Verification(verdict=verdict(stand), detail=detail, evidence={"addresses": evidence}, rechecks=rechecks)


def _seen(standing: Standing, leaf: Leaf | None, world: World, address: str) -> Json:
    if leaf is None:
        failure = world.failures.get(address)
        return {"standing": standing.value, "failure": failure.reason if failure else "not looked at"}
    not_after = leaf.not_after.isoformat() if leaf.not_after else None
    troubles = [*leaf.troubles, *leaf.passing]
    return {"standing": standing.value, "sha256": leaf.sha256, "not_after": not_after, "troubles": troubles}


def _told(address: str, standing: Standing, pins: Pins, leaf: Leaf | None, world: World) -> str:
    if leaf is None:
        failure = world.failures.get(address)
        return f"{address} {_SAID[standing]}: {failure.detail if failure else 'it was not looked at'}"
    before = pins.leaves.get(address)
    changed = before is not None and before.sha256 != leaf.sha256
    was = f", before until {before.until}" if before and changed else ""
    which = "another certificate" if changed else "the same certificate" if before else "a certificate"
    troubles = [*leaf.troubles, *leaf.passing]
    but = f" ({', '.join(troubles)})" if troubles else ""
    return f"{address} {_SAID[standing]}: {which}, valid until {leaf.until}{was}{but}"
