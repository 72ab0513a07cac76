"""Saying yes, no, and never mind."""

import os
import sys
from pathlib import Path

import typer

from tasks.ask import GATE_ONLY
from worker.cli.asked import SHOWN_DIGEST, approval_named, dossier_of, show_request
from worker.cli.following import follow
from worker.cli.opening import actor, shift
from worker.cli.printing import clock, say, show_json
from worker.cli.refusals import REFUSED, Refusal
from worker.flow import Shift, deciding
from worker.flow.api_tokens import person_of
from worker.flow.authorizing import why_not
from worker.flow.deciding import Statement
from worker.flow.dossiers import Dossier, dossier_shown
from worker.flow.errors import Refused
from worker.ledger import revisions
from worker.records import Approval, ApprovalState, Choice, Via

VARIABLE = "NIGHTSHIFT_TOKEN"


def approve(text: str, reason: str, token_file: Path | None, digest: str, *, wait: bool, as_json: bool) -> int:
    """Say yes; returns the exit code."""
    opened = shift()
    decided = _decide(opened, text, Choice.APPROVE, reason, token_file, digest, quiet=as_json)
    run_id = decided.effect_run_id
    if not as_json:
        _tell(opened, decided)
    done = follow(opened, run_id, quiet=as_json) if wait and run_id else True
    if as_json:
        show_json(dossier_shown(dossier_of(opened, approval_named(opened, decided.id))))
    return 0 if done else REFUSED


def deny(text: str, reason: str, token_file: Path | None, digest: str, *, as_json: bool) -> None:
    """Say no."""
    opened = shift()
    decided = _decide(opened, text, Choice.DENY, reason, token_file, digest, quiet=as_json)
    _show(opened, decided, f"denied: the same is not asked again for {opened.estate().policy.ask_again_after}", as_json=as_json)


def revoke(text: str, reason: str, *, as_json: bool) -> None:
    """Take it back."""
    opened = shift()
    ended = deciding.revoke(opened, approval_named(opened, text).id, actor(), reason)
    stopped = f"; run {ended.effect_run_id} stops before its next step" if ended.effect_run_id else ""
    _show(opened, ended, f"revoked{stopped}", as_json=as_json)


def dismiss(text: str, reason: str, *, as_json: bool) -> None:
    """Put a proposal away."""
    opened = shift()
    ended = deciding.dismiss(opened, approval_named(opened, text).id, actor(), reason)
    _show(opened, ended, f"dismissed: not shown again for {opened.estate().policy.ask_again_after}", as_json=as_json)


def _decide(
    opened: Shift, text: str, choice: Choice, reason: str, token_file: Path | None, digest: str, *, quiet: bool
) -> Approval:
    person = person_of(opened, _token(token_file))
    found = dossier_of(opened, approval_named(opened, text))
    if not quiet:
        show_request(found)
        say("")
    _refuse_in_vain(opened, found.approval, person)
    seen = _seen(found, choice, digest)
    said = Statement(
        approval_id=found.approval.id,
        person=person,
        choice=choice,
        digest=seen,
        pin=_pin(person),
        reason=reason,
        via=Via.CLI,
    )
    return deciding.decide(opened, said)


def _refuse_in_vain(opened: Shift, approval: Approval, person: str) -> None:
    """Before anybody types anything. What decides is asked again, by the verb."""
    if approval.state is not ApprovalState.PENDING:
        by = f" by {approval.ended_by}" if approval.ended_by else ""
        raise Refused(f"approval {approval.id} is {approval.state}{by}: nothing is to be decided any more", code="not_pending")
    if approval.mode != "execute":
        told = f"approval {approval.id} is only proposed: there is no yes to give; `nightshift dismiss` puts it away"
        raise Refused(told, code="propose_only")
    if (refusal := why_not(opened.estate(), approval, person)) is not None:
        raise refusal


def _token(file: Path | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if token := os.environ.get(VARIABLE, "").strip():
        return token
    told = f"whose decision is it? --token-file or {VARIABLE} gives your own token: `nightshift token create --person NAME`"
    raise Refusal(told)


def _seen(found: Dossier, choice: Choice, digest: str) -> str:
    """The digest that the person was shown: by us just now, or before, and named by them."""
    asked = found.approval.digest
    if digest:
        return asked if len(digest) >= SHOWN_DIGEST and asked.startswith(digest.lower()) else digest
    if not sys.stdin.isatty():
        told = f"nobody is at a terminal: name what you saw by --digest, as `nightshift approval {found.approval.id}` shows it"
        raise Refusal(told)
    if not typer.confirm(f"{choice.capitalize()} plan {asked[:SHOWN_DIGEST]}?", err=True):
        raise Refusal("nothing was decided")
    return asked


def _pin(person: str) -> str:
    """Typed without echo; else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed: str = typer.prompt(f"PIN of {person}", hide_input=True, err=True)
    return typed


def _tell(opened: Shift, decided: Approval) -> None:
    found = dossier_of(opened, decided)
    if decided.state is not ApprovalState.APPROVED:
        say(f"said; {len(found.decisions)} of {decided.quorum} agree, somebody else must decide too")
        return
    if found.gate is not None:
        say(f"approved: whoever asked may use this yes once, until {clock(decided.expires_at)}; {GATE_ONLY}")
        return
    say(f"approved: run {decided.effect_run_id} carries it out; `nightshift runs {decided.effect_run_id}` shows it")
    with opened.ledger.read() as connection:
        state = revisions.state(connection)
    window = opened.estate().policy.frozen(decided.environment, opened.clock())
    if state.frozen_by is not None:
        say(f"frozen by {state.frozen_by}: {state.frozen_reason}; it starts after `nightshift thaw`")
    elif window is not None:
        say(f"freeze {window} of policy.toml holds: it starts when that ends")


def _show(opened: Shift, ended: Approval, told: str, *, as_json: bool) -> None:
    if as_json:
        show_json(dossier_shown(dossier_of(opened, ended)))
    else:
        say(told)
