"""The second half of the demo: what the night asks for, a person's yes, and proof that it worked."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from worker.cli.opening import actor
from worker.cli.printing import say
from worker.cli.work import Asked, wait_for
from worker.demo.browser import approve, link_in
from worker.demo.files import PERSON
from worker.flow import Order, Request, Shift, enqueue
from worker.ledger import Ledger, approvals, effects, keepings, plans, runs
from worker.records import Approval, ApprovalState, Run, RunState, Trigger, Verdict

MENDED = ("nearly-expired", "half-renewed")
"""Entries whose renewal the night must ask for."""

_ASKED_SECONDS = 60.0
_DONE_SECONDS = 120.0
_LOOK_SECONDS = 0.05
T = TypeVar("T")


def requests(ledger: Ledger) -> list[Approval]:
    """What waits for a person, in the order of `MENDED`."""
    with ledger.read() as connection:
        pending = approvals.listing(connection, states=[ApprovalState.PENDING], job="certificates")
    return sorted((one for one in pending if one.entry in MENDED), key=lambda one: MENDED.index(one.entry))


def tell_how(ledger: Ledger, mails: Path, pin: str) -> list[str]:
    """How to approve by hand; returns what is not as it should be."""
    asked = requests(ledger)
    if asked:
        say("\nThese can be mended, and wait for your yes. Open the link in each mail, look, and decide:")
    for approval in asked:
        say(f"  {approval.title}\n    {mail_of(mails, approval) or 'its mail did not come'}")
    say(f"You are {PERSON}; your PIN is {pin}. It stands nowhere else.")
    return _not_asked(asked)


def mend(ledger: Ledger, mails: Path, pin: str) -> list[str]:
    """Say yes to each request as its person would, and watch what comes of it; returns what is not as expected."""
    asked = requests(ledger)
    troubles = _not_asked(asked)
    for approval in asked:
        show_request(ledger, approval)
        mail = mail_of(mails, approval)
        link = link_in(mail) if mail else None
        if link is None:
            troubles.append(f"{approval.entry}: no mail with a link came to {PERSON}")
            continue
        say(f"Mail:      {mail}")
        approve(link, pin, "the demo says yes")
        troubles += show_outcome(ledger, approval.id)
    return troubles


def mail_of(mails: Path, approval: Approval) -> Path | None:
    """The mail that asks the person to decide on it; it may still be on its way."""

    def there() -> Path | None:
        return next((mail for mail in sorted(mails.glob("*.eml")) if _asks_for(mail, approval)), None)

    return _soon(there, _ASKED_SECONDS)


def show_request(ledger: Ledger, approval: Approval) -> None:
    """Finding, plan, simulation and request."""
    with ledger.read() as connection:
        plan = plans.get(connection, approval.digest)
        found = plans.findings(connection, approval.digest)
        simulation = keepings.artifact(connection, plan.simulation_sha256) if plan else None
    say("")
    for row in found:
        say(f"Finding:   {row.severity} {row.reason}: {row.title}")
    if plan is not None:
        say(f"Plan:      {plan.summary}\n           digest {plan.digest}")
    if simulation is not None and simulation.key_id is None:
        say("Simulation:")
        for line in simulation.content.decode().splitlines():
            say(f"           {line}")
    for sentence in plan.irreversible if plan else ():
        say(f"No undo:   {sentence}")
    say(f"Request:   {approval.id}, {approval.risk} risk, rule {approval.rule}, until {approval.expires_at:%Y-%m-%d %H:%M} UTC")


def show_outcome(ledger: Ledger, approval_id: str) -> list[str]:
    """Decision, receipts, and what looking again showed; returns what is not as expected."""
    ended = _soon(lambda: _ended(ledger, approval_id), _DONE_SECONDS)
    with ledger.read() as connection:
        approval = approvals.get(connection, approval_id)
        said = approvals.decisions(connection, approval_id)
        begun = effects.of_run(connection, ended.id) if ended else []
    assert approval is not None
    for one in said:
        say(f"Decision:  {one.choice} by {one.person}, via {one.via}, at {one.at:%H:%M:%S} UTC: {one.reason}")
    for effect in begun:
        say(f"Receipt:   {effect.step} {effect.outcome}: {_in_words(effect.receipt.get('proof'))}")
    if ended is None:
        return [f"{approval.entry}: nothing was carried out within {_DONE_SECONDS:g} s; the request is {approval.state}"]
    say(f"Outcome:   {ended.verdict or ended.state}")
    for line in ended.summary.split("; "):
        say(f"           {line}")
    return (
        [] if ended.verdict is Verdict.VERIFIED else [f"{approval.entry}: expected verified, got {ended.verdict or ended.state}"]
    )


def look_again(shift: Shift) -> list[str]:
    """One more check of what was mended: its findings must be gone, at every address."""
    order = Order(job="certificates", params={"entries": list(MENDED)})
    made = enqueue(shift, Request(orders=[order], trigger=Trigger.CLI, actor=actor(), note="the demo looks again"))
    asked = wait_for(Asked(shift, made.batch.id, made.joined), quiet=True)
    (run,) = asked.runs()
    say(f"\nAgain:     {', '.join(MENDED)}: {run.state}, {run.summary}")
    return [] if run.verdict is Verdict.OK else [f"looking again at what was mended: expected ok, found {run.summary}"]


def verify_audit(environ: Mapping[str, str]) -> list[str]:
    """`nightshift audit verify` on the demo's own ledger."""
    argv = [sys.executable, "-m", "worker.cli", "audit", "verify"]
    done = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, check=False)
    say(f"\nAudit:     {done.stdout.strip() or done.stderr.strip()}")
    return [] if done.returncode == 0 else ["`nightshift audit verify` does not accept the chain"]


def _not_asked(asked: Sequence[Approval]) -> list[str]:
    there = {approval.entry for approval in asked}
    return [f"{entry}: its renewal was not asked for" for entry in MENDED if entry not in there]


def _asks_for(mail: Path, approval: Approval) -> bool:
    return link_in(mail) is not None and f"approval-{approval.id}".encode() in mail.read_bytes()


def _ended(ledger: Ledger, approval_id: str) -> Run | None:
    """The run that carried it out, once it has ended."""
    with ledger.read() as connection:
        approval = approvals.get(connection, approval_id)
        run = runs.get(connection, approval.effect_run_id) if approval and approval.effect_run_id else None
    return run if run and (run.state.terminal or run.state is RunState.NEEDS_ATTENTION) else None


def _in_words(proof: object) -> str:
    return json.dumps(proof, ensure_ascii=False) if proof else "no receipt"


def _soon(ready: Callable[[], T | None], seconds: float) -> T | None:
    deadline = time.monotonic() + seconds
    while (found := ready()) is None and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return found
