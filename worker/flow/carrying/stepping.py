"""One step after the other: precondition, intent, apply, receipt. Nothing else in Nightshift changes the world."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tasks.context import ApplyContext, Command, CommandResult, Commands, Context, Process
from tasks.errors import Cancelled, StepFailed
from tasks.model import ProbeVerdict, Receipt, Step
from tasks.providers.processes import lives
from worker.flow.carrying.checking import as_end, stopped
from worker.flow.carrying.endings import End, Held, Left, Refusal, happened, needs_attention
from worker.flow.carrying.intents import conclude, intend, witness
from worker.flow.carrying.work import Work
from worker.flow.errors import LeaseLost
from worker.flow.liveness import left_to, ourselves, under
from worker.flow.masking import masked_text
from worker.records import ApprovalState, EffectOutcome

log = structlog.get_logger("nightshift.carrying")


def take_steps(work: Work) -> End | None:
    """The steps of the plan; None: all that were to be tried have been. A rollback that has begun is gone on with."""
    begun = {effect.step for effect in work.effects()}
    if begun & {step.id for step in work.plan.rollback}:
        return None
    return take(work, in_order(work.plan.steps))


def in_order(steps: Sequence[Step]) -> list[Step]:
    """As listed, but each after those it depends on. Of a circle, as listed."""
    ids = {step.id for step in steps}
    left, ordered = list(steps), list[Step]()
    while left:
        done = {step.id for step in ordered}
        following = next((step for step in left if set(step.depends_on) & ids <= done), left[0])
        left.remove(following)
        ordered.append(following)
    return ordered


def take(work: Work, steps: Sequence[Step]) -> End | None:
    """Each step that has no outcome yet, up to the first that fails. None: looking again decides."""
    for number, step in enumerate(steps):
        work.watch.show(number, len(steps), step.id)
        outcomes = work.outcomes()
        if outcomes.get(step.id) is EffectOutcome.APPLIED:
            continue
        if EffectOutcome.FAILED in (outcomes.get(one.id) for one in steps):
            return None
        done = _take_one(work, step)
        if done is not EffectOutcome.APPLIED:
            return None if isinstance(done, EffectOutcome) else done
    work.watch.show(len(steps), len(steps), "looking again")
    return None


def _take_one(work: Work, step: Step) -> EffectOutcome | End:
    if (stop := stopped(work)) is not None:
        return as_end(work, stop)
    if (refusal := _precondition(work, step)) is not None:
        return work.refused(refusal)
    if (stop := intend(work, step)) is not None:
        return as_end(work, stop)
    return _apply(work, step)


def _precondition(work: Work, step: Step) -> Refusal | None:
    """Asked of the job. One that cannot be asked has just planned the same; in the middle of a plan that is not enough."""
    still: Callable[[Context, Step], bool] | None = getattr(work.remedy, "still", None)
    superseded = ApprovalState.SUPERSEDED
    if still is None:
        if any(effect.fence != work.run.fence for effect in happened(work.effects())):
            why = f"{work.job.name} cannot say whether {step.id} may still be done after an interruption"
            return Refusal(code="precondition_unknown", why=why, becomes=superseded)
        return None
    try:
        holds = still(work.ctx, step)
    except Exception as error:  # noqa: BLE001 - a precondition that cannot be looked at does not hold
        why = f"whether {step.id} may still be done cannot be told: {masked_text(f'{type(error).__name__}: {error}')}"
        return Refusal(code="precondition_unknown", why=why, becomes=superseded)
    if holds:
        return None
    why = f"{step.id} ({step.action} {step.target}) does not find {step.before!r} any more"
    return Refusal(code="precondition_failed", why=why, becomes=superseded)


def _apply(work: Work, step: Step) -> EffectOutcome | End:
    commands = WitnessedCommands(work, step)
    ctx = _apply_context(work, step, commands)
    try:
        receipt = work.remedy.apply(ctx, step)
        if not isinstance(receipt, Receipt):
            raise TypeError(f"apply gave {type(receipt).__name__}, not a receipt")  # noqa: TRY301 - the probe decides, as of any other
    except StepFailed as error:
        conclude(work, step, EffectOutcome.FAILED, detail=masked_text(str(error)))
        return EffectOutcome.FAILED
    except LeaseLost:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it was: the probe decides
        return _after_accident(work, step, commands, error)
    conclude(work, step, EffectOutcome.APPLIED, receipt)
    return EffectOutcome.APPLIED


def _after_accident(work: Work, step: Step, commands: "WitnessedCommands", error: BaseException) -> EffectOutcome | End:
    told = masked_text(f"{type(error).__name__}: {error}")
    log.error("step_interrupted", run_id=work.run.id, step=step.id, error=told)
    if commands.keeper is not None and lives(commands.keeper) is not False:
        witness(work, step, left_to(commands.keeper))
        return Left(f"{step.id}: {told}, and its program goes on")
    if commands.unheard and not commands.begun:
        return _not_begun(work, step, told)
    return settle(work, step, f"{told}; the probe says that it")


def _not_begun(work: Work, step: Step, told: str) -> EffectOutcome | End:
    """A step whose program was not let start has changed nothing, unless its probe sees that it did: it is tried again."""
    if _probe(work, step) is ProbeVerdict.HAPPENED:
        conclude(work, step, EffectOutcome.APPLIED, detail=f"{told}; the probe says that it happened")
        return EffectOutcome.APPLIED
    conclude(work, step, EffectOutcome.DID_NOT, detail=f"{told}; its program was never started")
    return Held("ledger_away", work.shift.pace.first_ring_again)


def settle(work: Work, step: Step, why: str) -> EffectOutcome | End:
    """Ask the job what became of a step that nobody does any more."""
    match _probe(work, step):
        case ProbeVerdict.HAPPENED:
            outcome, said = EffectOutcome.APPLIED, "happened"
        case ProbeVerdict.DID_NOT:
            outcome, said = EffectOutcome.DID_NOT, "did not happen"
        case _:
            told = f"nobody knows whether {step.id} ({step.action} {step.target}) happened ({why} cannot be told)"
            return needs_attention(work.run, "outcome_unknown", told)
    conclude(work, step, outcome, detail=f"{why} {said}")
    return outcome


def _probe(work: Work, step: Step) -> ProbeVerdict:
    try:
        return work.remedy.probe(work.ctx, step)
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - a probe that fails has told nothing
        work.ctx.log.warning("probe_failed", step=step.id, error=f"{type(error).__name__}: {error}")
        return ProbeVerdict.UNKNOWN


def _apply_context(work: Work, step: Step, commands: Commands) -> ApplyContext:
    """The same entry and providers, with the secrets that only a step may read, and commands that the ledger hears of first."""
    same = {field.name: getattr(work.ctx, field.name) for field in fields(Context)}
    ours = {"secrets": work.shift.providers.secrets, "commands": commands, "idempotency_key": f"{work.run.id}:{step.id}"}
    return ApplyContext(**{**same, **ours})


@dataclass(slots=True)
class WitnessedCommands:
    """`ctx.commands` of a step: the ledger names the process that keeps a program before the program exists."""

    work: Work
    step: Step
    keeper: Process | None = field(default=None)
    begun: bool = False
    """Whether a program of the step was ever let start."""
    unheard: bool = False
    """Whether none was, because the ledger could not hear of it."""

    def run(
        self,
        command: Command,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        before_start: Callable[[Process], None] | None = None,
    ) -> CommandResult:
        """See `Commands.run`. One that outlives us is not cut off in its middle, whatever the job asks for."""

        def told(process: Process) -> None:
            try:
                witness(self.work, self.step, under(process), begins=True)
            except SQLAlchemyError:
                self.unheard = not self.begun
                raise
            self.begun, self.keeper = True, process
            if before_start is not None:
                before_start(process)

        commands = self.work.shift.providers.commands
        stop = (lambda: False) if command.outlives else cancelled
        result = commands.run(command, cancelled=stop, before_start=told)
        self.keeper = None
        with contextlib.suppress(LeaseLost, SQLAlchemyError):
            # What the job does after the program is this process's own doing. Whether that still counts, the outcome will show;
            # and a ledger that is away must not hide from the job how its program ended.
            witness(self.work, self.step, ourselves())
        return result
