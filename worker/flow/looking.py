"""Running a check: the context it gets, and the report made of its answers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tasks.context import Context, Entry, SecretReader
from tasks.errors import Cancelled, ProviderError
from tasks.job import Job, Params
from tasks.masking import texts_in
from tasks.model import Answer, CannotTell, Finding, Ok
from worker.flow.desk import Desk
from worker.flow.errors import Invalid
from worker.flow.masking import masked_answer, masked_text
from worker.flow.planning import Proposal, propose
from worker.flow.pulse import Watch
from worker.flow.scratch import NoScratch, Scratch
from worker.flow.selecting import Selection, select
from worker.flow.shift import Estate, Shift
from worker.records import Run, Verdict

NOT_LOOKED_AT = "not_looked_at"
NOT_IN_ESTATE = "not_in_estate"


@dataclass(slots=True)
class Report:
    """The answers of one run. `whole`: the check ran to its end, so that what it did not see again is gone."""

    answers: list[Answer] = field(default_factory=list)
    whole: bool = False
    error: str | None = None
    error_reason: str | None = None
    proposals: list[Proposal] = field(default_factory=list)
    """What would mend its findings, and may be asked for."""

    def outcomes(self) -> Mapping[str, str]:
        """By entry: `finding`, else `cannot_tell`, else `ok`."""
        worst: dict[str, str] = {}
        order = ("ok", "cannot_tell", "finding")
        for answer in self.answers:
            said = kind_of(answer)
            worst[answer.entry] = max(worst.get(answer.entry, "ok"), said, key=order.index)
        return worst

    def counts(self) -> dict[str, int]:
        """Numbers of entries by outcome, and how many of those with a finding have one of drift."""
        counted = Counter(self.outcomes().values())
        drifted = {one.entry for one in self.answers if isinstance(one, Finding) and (one.desired, one.actual) != (None, None)}
        return {kind: counted[kind] for kind in ("ok", "finding", "cannot_tell")} | ({"drifted": len(drifted)} if drifted else {})

    def verdict(self) -> Verdict:
        """Never ok unless every entry is; `cannot_tell` only if nothing at all could be told."""
        counts = self.counts()
        if counts["finding"]:
            return Verdict.FINDINGS
        if counts["cannot_tell"]:
            return Verdict.PARTIAL if counts["ok"] else Verdict.CANNOT_TELL
        return Verdict.OK

    def summary(self) -> str:
        """`98 ok, 1 finding, 1 cannot tell`."""
        counts = self.counts()
        names = {"ok": "ok", "finding": "finding" if counts["finding"] == 1 else "findings", "cannot_tell": "cannot tell"}
        return ", ".join(f"{counts[kind]} {word}" for kind, word in names.items() if counts[kind]) or "nothing to look at"


def kind_of(answer: Answer) -> str:
    match answer:
        case Ok():
            return "ok"
        case Finding():
            return "finding"
        case CannotTell():
            return "cannot_tell"


def look(shift: Shift, run: Run, watch: Watch, desk: Desk) -> tuple[Selection, Report]:
    """Find the run's entries and have its job look at them. What cannot even begin is a report with an error."""
    job = shift.jobs[run.job]
    try:
        estate = shift.estate(run.revision)
        selection = select(job, run.params, estate)
    except Invalid as error:
        return Selection(params=Params()), Report(error=str(error), error_reason=error.code)
    with context(shift, run, job, selection, estate, watch, desk) as ctx:
        report = _check(job, ctx, selection, watch, shift.interruptions)
        _plan(shift, job, ctx, selection, estate, report, watch)
        return selection, report


def _plan(shift: Shift, job: Job[Any], ctx: Context, selection: Selection, estate: Estate, report: Report, watch: Watch) -> None:
    """Work out what would mend what was found. Only of the estate: a command never comes from a request; a question may."""
    if job.remedy is None or not report.whole:
        return
    known = {entry.name for entry in (selection.entries if job.gate else selection.known)}
    found = [answer for answer in report.answers if isinstance(answer, Finding) and answer.entry in known]
    stopped: tuple[type[BaseException], ...] = (Cancelled, *shift.interruptions)
    try:
        report.proposals += propose(job, selection.params, estate, found, ctx, shift.interruptions)
    except stopped:
        # What was looked at stands; the rest is planned another night.
        watch.must_stop()


def _check(
    job: Job[Any], ctx: Context, selection: Selection, watch: Watch, interruptions: tuple[type[BaseException], ...]
) -> Report:
    """Run the check to its end, or as far as it comes; what it answered before an error is kept."""
    report = Report()
    try:
        if selection.entries and not watch.must_stop():
            for answer in _answers(job, ctx, selection):
                report.answers.append(masked_answer(answer))
        report.whole = not watch.noticed
    except Cancelled:
        watch.must_stop()
    except NoScratch as error:
        report.error, report.error_reason = str(error), "no_scratch"
    except interruptions:
        watch.stop = watch.stop or "time_limit"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a job raises, `sys.exit` too, fails its run alone
        if not watch.must_stop():
            told = f"{type(error).__name__}: {error}"
            ctx.log.error("check_failed", error=told)  # noqa: TRY400 - a traceback shows values
            report.error, report.error_reason = masked_text(f"{type(error).__name__}: {error}"), "job_error"
    _answer_for_the_rest(report, selection, watch)
    return report


def _answers(job: Job[Any], ctx: Context, selection: Selection) -> Iterator[Answer]:
    names = {entry.name for entry in selection.entries}
    for answer in job.check(ctx, selection.params):
        if answer.entry not in names:
            raise Invalid(f"{job.name} answered about {answer.entry!r}, which this run was not asked to look at")
        yield answer


def _answer_for_the_rest(report: Report, selection: Selection, watch: Watch) -> None:
    answered = {answer.entry for answer in report.answers}
    why = report.error or (f"the run was stopped: {watch.stop}" if watch.stop else "the job gave no answer about it")
    report.answers += [
        CannotTell(entry=entry.name, subject=entry.name, reason=NOT_LOOKED_AT, stage="run", detail=why)
        for entry in selection.entries
        if entry.name not in answered
    ]
    report.answers += [
        CannotTell(
            entry=name,
            subject=name,
            reason=NOT_IN_ESTATE,
            stage="select",
            detail="the estate in force does not have this entry any more",
        )
        for name in selection.missing
    ]


@dataclass(frozen=True, slots=True)
class ReadSecrets:
    """`ctx.secrets` of everything but `apply`: a reference under an entry's `write_only` is not for those who only read."""

    inner: SecretReader
    refused: frozenset[str]

    @classmethod
    def of(cls, inner: SecretReader, entries: Iterable[Entry]) -> "ReadSecrets":
        named = (getattr(entry, key, None) for entry in entries for key in entry.write_only)
        return cls(inner, frozenset(text for value in named for text in texts_in(value)))

    def __call__(self, reference: str) -> str:
        if reference in self.refused:
            raise ProviderError(f"{reference}: only the step of an approved plan may read it", stage="secret")
        return self.inner(reference)


@contextmanager
def context(
    shift: Shift, run: Run, job: Job[Any], selection: Selection, estate: Estate, watch: Watch, desk: Desk
) -> Iterator[Context]:
    """The context of this run; its scratch folder goes with the block."""
    scratch = Scratch(shift.scratch, run.id, run.fence)
    try:
        yield Context(
            run_id=run.id,
            job=job.name,
            selected=selection.entries,
            clock=shift.clock,
            log=desk.log,
            make_scratch=scratch,
            artifacts=desk.artifacts,
            history=desk.history,
            estate=list(estate.table(job).values()),
            ledger=desk.reader,
            progress=watch.show,
            cancelled=watch.must_stop,
            tls=shift.providers.tls,
            commands=shift.providers.commands,
            stacks=shift.providers.stacks,
            secrets=ReadSecrets.of(shift.providers.secrets, [*estate.table(job).values(), *selection.entries]),
            providers=shift.providers.others,
        )
    finally:
        scratch.remove()
