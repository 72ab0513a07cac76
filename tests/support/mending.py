"""The job of the repair tests: slots are append-only files of numbers; one whose last line is not the wanted number is mended.

One line, one effect: `VALUE KEY`, written by a single append, so that a file tells every effect that ever happened to it.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from tasks.context import ApplyContext, Command, Context, Entry
from tasks.errors import StepFailed
from tasks.job import Job, Params
from tasks.model import (
    Answer,
    Finding,
    Ok,
    Plan,
    ProbeVerdict,
    Receipt,
    Reversibility,
    Severity,
    Simulation,
    Step,
    Verification,
    VerificationVerdict,
)

SCRIPT = 'sleep "$1"; printf "%s %s\\n" "$3" "$4" >> "$5"; sleep "$2"'
"""What a slow step runs: `sh -c SCRIPT sh BEFORE AFTER VALUE KEY FILE`."""
DIES = "MENDING_DIES"
"""Environment variable of a worker that is to die in mid-step: `claimed` a step, or `wrote`."""
COMMAND_TIMEOUT = timedelta(seconds=60)


class Slots(Entry):
    """A folder with slots, and how a step behaves there."""

    folder: str
    slots: tuple[str, ...] = ("a",)
    wanted: int = 1
    behaviour: Literal["works", "fails", "raises", "does_nothing", "writes_another"] = "works"
    behaves_at: str = ""
    """Only this slot behaves so, the others work; empty: all."""
    before_seconds: float = 0.0
    after_seconds: float = 0.0
    """Around the effect of each step."""
    by_command: bool = False
    outlives: bool = True
    rolls_back: bool = False
    """Its plans bring their reverse steps along."""
    probes: bool = True
    """The job can tell afterwards whether a step happened."""
    undoable: bool = True
    token: str = ""
    """Reference to a secret that only `apply` may read."""

    write_only: ClassVar[frozenset[str]] = frozenset({"token"})


def file_of(folder: str, slot: str) -> Path:
    return Path(folder) / f"{slot}.slot"


def lines_of(folder: str, slot: str) -> list[tuple[int, str]]:
    """(value, key) of every effect on the slot, oldest first."""
    path = file_of(folder, slot)
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(value), key) for value, _, key in (line.partition(" ") for line in lines)]


def value_of(folder: str, slot: str) -> int:
    """What the slot holds; 0 in the beginning."""
    return next((value for value, _ in reversed(lines_of(folder, slot))), 0)


def write(folder: str, slot: str, value: int, key: str) -> None:
    """One effect; tests also use it as somebody else who changes the world."""
    with file_of(folder, slot).open("a") as file:
        file.write(f"{value} {key}\n")


def check(ctx: Context, params: Params) -> Iterator[Answer]:
    for entry in ctx.entries(Slots):
        wrong = [slot for slot in entry.slots if value_of(entry.folder, slot) != entry.wanted]
        if not wrong:
            yield Ok(entry=entry.name, subject=entry.name)
        for slot in wrong:
            yield Finding(
                entry=entry.name,
                subject=entry.name,
                key=f"slot:{slot}",
                reason="wrong_value",
                severity=Severity.HIGH,
                title=f"slot {slot} of {entry.name} does not hold {entry.wanted}",
            )


class Mending:
    """Writes the wanted value into each slot that does not hold it."""

    def plan(self, ctx: Context, params: Params, findings: Sequence[Finding]) -> tuple[Plan, Simulation] | None:
        entry = _entry(ctx, findings[0].entry)
        found = {slot: value_of(entry.folder, slot) for slot in entry.slots}
        wrong = [slot for slot, value in found.items() if value != entry.wanted]
        if not wrong:
            return None
        steps: list[Step] = []
        for slot in wrong:
            steps.append(_step(entry, slot, found[slot], entry.wanted, after=steps[-1:]))
        plan = Plan(
            job="slots",
            scope=entry.folder,
            account="tests",
            finding_keys=tuple(finding.key for finding in findings),
            steps=tuple(steps),
            rollback=tuple(_reverse(step) for step in reversed(steps)) if entry.rolls_back else (),
        )
        text = "\n".join(f"- {step.target}: {step.before}\n+ {step.target}: {step.after}" for step in steps)
        return plan, Simulation(summary=f"write {len(steps)} slots", text=text, soft_pins={"commit": _commit(entry)})

    def apply(self, ctx: ApplyContext, step: Step) -> Receipt:
        entry = ctx.entries(Slots)[0]
        slot = str(step.arguments["slot"])
        behaviour = entry.behaviour if entry.behaves_at in ("", slot) and not step.id.startswith("undo-") else "works"
        if entry.token:
            ctx.secrets(entry.token)
        value = int(str(step.arguments["value"])) + (behaviour == "writes_another")
        if behaviour != "does_nothing":
            _do(ctx, entry, slot, value, refuse=behaviour == "fails")
        if behaviour == "raises":
            raise ValueError("the pen broke")
        return Receipt(step=step.id, at=ctx.clock(), proof={"wrote": value})

    def verify(self, ctx: Context, plan: Plan, receipts: Sequence[Receipt]) -> Verification:
        entry = ctx.entries(Slots)[0]
        seen = {str(step.arguments["slot"]): value_of(entry.folder, str(step.arguments["slot"])) for step in plan.steps}
        wanted = {str(step.arguments["slot"]): step.after for step in plan.steps}
        before = {str(step.arguments["slot"]): step.before for step in plan.steps}
        right = [slot for slot, value in seen.items() if value == wanted[slot]]
        strange = [slot for slot, value in seen.items() if value not in (wanted[slot], before[slot])]
        verdict = VerificationVerdict.PARTIAL if right else VerificationVerdict.UNCHANGED
        verdict = VerificationVerdict.VERIFIED if len(right) == len(seen) else verdict
        verdict = VerificationVerdict.WORSE if strange else verdict
        return Verification(verdict=verdict, detail=f"{len(right)} of {len(seen)} slots hold what they should", evidence=seen)

    def probe(self, ctx: Context, step: Step) -> ProbeVerdict:
        entry = ctx.entries(Slots)[0]
        if not entry.probes:
            return ProbeVerdict.UNKNOWN
        keys = [key for _, key in lines_of(entry.folder, str(step.arguments["slot"]))]
        return ProbeVerdict.HAPPENED if f"{ctx.run_id}:{step.id}" in keys else ProbeVerdict.DID_NOT

    def still(self, ctx: Context, step: Step) -> bool:
        """Whether the step's precondition holds."""
        return value_of(ctx.entries(Slots)[0].folder, str(step.arguments["slot"])) == step.before

    def undo(self, step: Step, receipt: Receipt) -> Step | None:
        return _reverse(step) if step.arguments["undoable"] else None


class Disliked(Mending):
    """Does what it should, and does not like what it sees: only of what was taken back it says what is there."""

    def verify(self, ctx: Context, plan: Plan, receipts: Sequence[Receipt]) -> Verification:
        if any(step.id.startswith("write-") for step in plan.steps):
            return Verification(verdict=VerificationVerdict.WORSE, detail="it looks odd", evidence={})
        return super().verify(ctx, plan, receipts)


def _entry(ctx: Context, name: str) -> Slots:
    return next(entry for entry in ctx.entries(Slots) if entry.name == name)


def _step(entry: Slots, slot: str, before: int, value: int, after: Sequence[Step]) -> Step:
    return Step(
        id=f"write-{slot}",
        action="write",
        target=str(file_of(entry.folder, slot)),
        arguments={"slot": slot, "value": value, "undoable": entry.undoable},
        before=before,
        after=value,
        precondition=f"{slot}={before}",
        reversibility=Reversibility.R1 if entry.undoable else Reversibility.R3,
        depends_on=tuple(step.id for step in after),
    )


def _reverse(step: Step) -> Step:
    return Step(
        id=f"undo-{step.arguments['slot']}",
        action="write",
        target=step.target,
        arguments={**step.arguments, "value": step.before},
        before=step.after,
        after=step.before,
        precondition=f"{step.arguments['slot']}={step.after}",
        reversibility=Reversibility.R1,
        depends_on=(step.id,),
    )


def _commit(entry: Slots) -> str:
    """A soft pin: what stands in the folder's file `commit`."""
    path = Path(entry.folder) / "commit"
    return path.read_text() if path.exists() else "none"


def _die(moment: str) -> None:
    if os.environ.get(DIES) == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def _do(ctx: ApplyContext, entry: Slots, slot: str, value: int, *, refuse: bool) -> None:
    _die("claimed")
    if entry.by_command:
        _by_command(ctx, entry, slot, value, refuse=refuse)
        return
    time.sleep(entry.before_seconds)
    if refuse:
        raise StepFailed(f"slot {slot} takes no {value}")
    write(entry.folder, slot, value, ctx.idempotency_key)
    _die("wrote")
    time.sleep(entry.after_seconds)


def _by_command(ctx: ApplyContext, entry: Slots, slot: str, value: int, *, refuse: bool) -> None:
    words = (
        str(entry.before_seconds),
        str(entry.after_seconds),
        str(value),
        ctx.idempotency_key,
        str(file_of(entry.folder, slot)),
    )
    command = Command(
        argv=("/bin/sh", "-c", "exit 3") if refuse else ("/bin/sh", "-c", SCRIPT, "sh", *words),
        cwd=None,
        environment={"PATH": os.defpath},
        stdin=b"",
        timeout=COMMAND_TIMEOUT,
        output_limit_bytes=10_000,
        memory_limit_bytes=None,
        outlives=entry.outlives,
    )
    result = ctx.commands.run(command, cancelled=ctx.cancelled)
    _die("wrote")
    if result.exit_code != 0:
        raise StepFailed(f"the command for slot {slot} ended with {result.exit_code} ({result.ended_by})")


SLOTS: Job[Params] = Job(
    name="slots",
    summary="Mends slots",
    check=check,
    params=Params,
    entry=Slots,
    entries_per_run=1,
    remedy=Mending(),
)
