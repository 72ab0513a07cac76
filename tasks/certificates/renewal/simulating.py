"""What people are shown of a renewal before they say yes."""

import shlex
from collections.abc import Iterator
from datetime import datetime

from tasks.certificates.renewal.orders import RENEW
from tasks.certificates.renewal.planning import Prospect
from tasks.certificates.renewal.world import Leaf
from tasks.model import Plan, Simulation, Step

_HEX_SHOWN = 12
_ISSUED = (
    "The renewal cannot be taken back: a certificate once issued stays issued, counts against the limits of its issuer, "
    "and may stand in public logs."
)
_OVERWRITTEN = (
    "The old certificate and its key are not kept by Nightshift: what the command overwrites is gone, unless the command "
    "keeps it. The way back is another renewal."
)
_RELOADED = "A reload makes the server take whatever else was changed in its configuration since it last read it."


def simulate(made: Prospect, plan: Plan, now: datetime) -> Simulation:
    """`now` is for what to expect only: it is no part of what people approve."""
    renews = any(step.action == RENEW for step in plan.steps)
    return Simulation(
        summary=_summary(made, plan),
        text="\n".join(_lines(made, plan, now, renews=renews)),
        irreversible=(*((_ISSUED, _OVERWRITTEN) if renews else ()), *([_RELOADED] if made.entry.reload_command else [])),
    )


def _summary(made: Prospect, plan: Plan) -> str:
    """Short enough for the list of mails on a phone; the commands stand in the text."""
    first, *others = plan.steps
    return ", ".join([f"{first.action} {made.entry.place}", *(f"then {step.action}" for step in others)])


def _lines(made: Prospect, plan: Plan, now: datetime, *, renews: bool) -> Iterator[str]:
    for address, leaf in made.leaves.items():
        if address in made.due:
            yield f"~ {address}"
            yield f"-   serves certificate {_short(leaf)}, valid until {leaf.until}"
            yield f"+   {_expected(made, leaf, now, renews=renews)}"
        else:
            yield f"  {address}"
            yield f"    serves certificate {_short(leaf)}, valid until {leaf.until}; may take the new one too, never an older one"
    for number, step in enumerate(plan.steps, start=1):
        yield from ("", f"Step {number}: {step.action} {step.target}", *_running(step))
    yield ""
    yield f"Then every address is looked at again, for up to {made.entry.verify_timeout_seconds:g} s."


def _expected(made: Prospect, leaf: Leaf, now: datetime, *, renews: bool) -> str:
    if not renews and made.in_file:
        return f"will serve certificate {_short(made.in_file)}, valid until {made.in_file.until}, which lies in the file already"
    lifetime = leaf.not_after - leaf.not_before if leaf.not_after and leaf.not_before else None
    if lifetime is None:
        return f"will serve a new certificate, valid beyond {leaf.until}"
    until = f"{now + lifetime:%Y-%m-%d}"
    return f"will serve a new certificate, valid until about {until} if it gets {lifetime.days} days as this one did"


def _running(step: Step) -> Iterator[str]:
    given = step.arguments
    argv, passed, references, clear = (
        given["argv"], given["environment_passed_on"], given["environment"], given["environment_in_clear"],
    )  # fmt: skip
    assert isinstance(argv, list)
    assert isinstance(passed, list)
    assert isinstance(references, dict)
    assert isinstance(clear, dict)
    names = [*clear["names"], *(f"{name} (from {reference})" for name, reference in references.items())]
    yield f"  command      {shlex.join(argv)}"
    yield f"  in           {given['cwd']}"
    yield "  as           the user of the worker that carries it out"
    yield f"  environment  {', '.join([*passed, *names]) or 'nothing'}"
    yield f"  ended after  {given['timeout_seconds']:g} s at the latest"


def _short(leaf: Leaf) -> str:
    return f"{leaf.sha256[:_HEX_SHOWN]}…"
