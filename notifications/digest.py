"""The morning digest: what the night looked at, what it found, what is new, and what waits for whom. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from notifications.findings import FindingFacts, facts, finding_url
from notifications.message import SEVERITIES, Button, Field, Line, Message, MessageKind, Section
from notifications.roots import by_root, root_of, same_in

LIST_LIMIT = 15
"""A section lists this many lines, then says how many more there are and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightUnknown:
    """A subject that could not be looked at."""

    subject: str
    reason: str
    detail: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRun:
    """A run that somebody should know of; `why` says what became of it."""

    id: str
    job: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightApproval:
    """A request that waits; `waits_for` are the people or teams who may decide."""

    id: str
    title: str
    waits_for: Sequence[str]
    expires_at: datetime | None = None
    proposed: bool = False
    """Only shown: there is no yes to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """All batches between two digests. `expected`, `looked_at` and `ok` count each entry once, by its newest run."""

    since: datetime
    until: datetime
    zone: tzinfo
    """In which its date is told."""
    expected: int
    looked_at: int
    incomplete: Sequence[str] = ()
    """Why not everything was looked at."""
    ok: int = 0
    muted: int = 0
    """Findings that are kept quiet; their entries are not ok."""
    fleets: Sequence[tuple[str, str]] = ()
    """Schedules that looked at more than one thing, each with what came of it in a line."""
    unscheduled: Sequence[str] = ()
    """Entries of the estate that no schedule selects."""
    new: Sequence[FindingFacts] = ()
    still_open: Sequence[FindingFacts] = ()
    resolved: Sequence[FindingFacts] = ()
    cannot_tell: Sequence[NightUnknown] = ()
    needs_attention: Sequence[NightRun] = ()
    held: Sequence[NightRun] = ()
    """Repairs that are half done, and may not go on until a freeze is over."""
    failed: Sequence[NightRun] = ()
    skipped: Sequence[NightRun] = ()
    approvals: Sequence[NightApproval] = ()
    repaired: Sequence[NightRun] = ()
    """Changes that were carried out: verified, or taken back."""
    answered: Sequence[NightRun] = ()
    """Requests that people denied or took back; `id` is the request's."""
    console_url: str

    @property
    def complete(self) -> bool:
        return self.looked_at >= self.expected and not self.incomplete

    @property
    def green(self) -> bool:
        """Everything was looked at and every entry is ok. An empty night is not green: nobody looked."""
        return self.quiet and self.ok >= self.expected

    @property
    def quiet(self) -> bool:
        """Everything was looked at and there is nothing to tell; some of it may be muted."""
        trouble = (self.new, self.still_open, self.cannot_tell, self.needs_attention, self.held, self.failed, self.skipped)
        return self.complete and self.expected > 0 and not any(trouble)


def digest_message(night: Night) -> Message:
    """The digest of `night`; the same night has the same id."""
    return Message(
        id=f"digest-{night.until.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        kind=MessageKind.DIGEST,
        title=_title(night),
        body=_body(night),
        severity=_severity(night),
        sections=[section for section in _sections(night) if section.lines],
        fields=_fields(night),
        buttons=[Button("Open the night's report", _url(night, ""))],
        at=night.until,
        data=_facts(night),
    )


def bounded(heading: str, lines: Sequence[Line], url: str, severity: str | None = None) -> Section:
    """A section of at most `LIST_LIMIT` lines; `and 37 more` leads to the rest."""
    shown = list(lines[:LIST_LIMIT])
    if len(lines) > LIST_LIMIT:
        shown.append(Line(f"and {len(lines) - LIST_LIMIT} more", url))
    return Section(f"{heading} ({len(lines)})", shown, severity)


def _title(night: Night) -> str:
    day = night.since.astimezone(night.zone)
    name = f"Night of {day.day} {day:%b}"
    if not night.complete:
        name += f", incomplete ({night.looked_at} of {night.expected} looked at)"
    if night.green:
        return f"{name}: all {night.ok} ok"
    counts = [
        _count(len(by_root(night.new)), "new finding"),
        f"{len(by_root(night.still_open))} still open" if night.still_open else "",
        f"{len(night.cannot_tell)} could not tell" if night.cannot_tell else "",
        _count(len(night.needs_attention), "run", "needing attention"),
        _count(len(night.held), "repair", "held half done", plural="repairs"),
        _count(len(night.failed), "failed run"),
        _count(len(night.skipped), "skipped run"),
        f"{len(night.repaired)} repaired" if night.repaired else "",
        f"{night.muted} muted" if night.muted else "",
        f"{night.ok} ok" if night.ok else "",
    ]
    return f"{name}: {', '.join(filter(None, counts)) or 'nothing was looked at'}"


def _body(night: Night) -> str:
    if not night.complete:
        return "\n".join([f"Night incomplete: {night.looked_at} of {night.expected} looked at.", *night.incomplete])
    if night.expected == 0:
        return "Nothing was looked at: no schedule fired, or the estate is empty."
    if night.green:
        return f"Everything was looked at ({_count(night.expected, 'entry', plural='entries')}) and nothing was found."
    return f"Looked at all {_count(night.expected, 'entry', plural='entries')}."


def _severity(night: Night) -> str:
    open_findings = [finding.severity for finding in (*night.new, *night.still_open)]
    if open_findings:
        return max(open_findings, key=SEVERITIES.index)
    if night.green:
        return "ok"
    return "info" if night.quiet and night.muted else "cannot_tell"


def _sections(night: Night) -> list[Section]:
    findings, runs, approvals = (_url(night, page) for page in ("findings", "runs", "approvals"))
    return [
        bounded("Waiting for a person", [_approval(night, approval) for approval in night.approvals], approvals, "medium"),
        bounded("Needs attention", [_run(night, run) for run in night.needs_attention], runs, "critical"),
        bounded("Held half done by a freeze", [_run(night, run) for run in night.held], runs, "high"),
        bounded("Repaired", [_run(night, run) for run in night.repaired], runs, "ok"),
        bounded("Denied or taken back", [_answered(night, one) for one in night.answered], approvals, "info"),
        bounded("New", _findings(night, night.new), findings, _worst(night.new)),
        bounded("Still open", _findings(night, night.still_open), findings, _worst(night.still_open)),
        bounded("Could not tell", [_unknown(night, one) for one in night.cannot_tell], runs, "cannot_tell"),
        bounded("Failed runs", [_run(night, run) for run in night.failed], runs, "high"),
        bounded("Skipped runs", [_run(night, run) for run in night.skipped], runs, "medium"),
        bounded("Resolved", _findings(night, night.resolved), findings, "ok"),
    ]


def _findings(night: Night, findings: Sequence[FindingFacts]) -> list[Line]:
    worst_first = sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.opened_at, one.id))
    groups = [(group[0], group) for group in by_root(worst_first)]
    return [Line(_finding(one, group), finding_url(one.id, night.console_url), one.severity) for one, group in groups]


def _finding(finding: FindingFacts, group: Sequence[FindingFacts]) -> str:
    title = f"{root_of(finding)}, {same_in(group)}" if len(group) > 1 else finding.title
    owner = f", {finding.owner}" if finding.owner else ""
    acknowledged = f", acknowledged by {finding.state_by or 'somebody'}" if finding.state == "acknowledged" else ""
    return f"{finding.severity}: {title} [{finding.reason}] ({finding.environment}{owner}){acknowledged}"


def _unknown(night: Night, unknown: NightUnknown) -> Line:
    return Line(f"{unknown.subject} [{unknown.reason}]: {unknown.detail}", _url(night, f"runs/{unknown.run_id}"), "cannot_tell")


def _run(night: Night, run: NightRun) -> Line:
    return Line(f"{run.job}: {run.why}", _url(night, f"runs/{run.id}"))


def _answered(night: Night, one: NightRun) -> Line:
    return Line(f"{one.job}: {one.why}", _url(night, f"approvals/{one.id}"))


def _approval(night: Night, approval: NightApproval) -> Line:
    if approval.proposed:
        return Line(f"{approval.title} (proposed only: nobody can say yes)", _url(night, f"approvals/{approval.id}"))
    who = ", ".join(approval.waits_for) or "nobody"
    until = ""
    if approval.expires_at is not None:
        local = approval.expires_at.astimezone(night.zone)
        until = f", until {local.day} {local:%b %H:%M %Z}"
    return Line(f"{approval.title} (waits for {who}{until})", _url(night, f"approvals/{approval.id}"))


def _fields(night: Night) -> list[Field]:
    since, until = (f"{at.day} {at:%b %H:%M %Z}" for at in (one.astimezone(night.zone) for one in (night.since, night.until)))
    return [
        Field("Looked at", f"{night.looked_at} of {_count(night.expected, 'entry', plural='entries')}"),
        Field("Ok", str(night.ok)),
        *(Field(name, told) for name, told in night.fleets[:LIST_LIMIT]),
        Field("From, until", f"{since}, {until}"),
        *([Field("Watched by no schedule", _named(night.unscheduled))] if night.unscheduled else []),
    ]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - LIST_LIMIT} more" if len(names) > LIST_LIMIT else ""
    return ", ".join(names[:LIST_LIMIT]) + more


def _facts(night: Night) -> dict[str, object]:
    def of(findings: Sequence[FindingFacts]) -> list[dict[str, object]]:
        return [facts(finding, night.console_url) for finding in findings]

    return {
        "since": night.since.astimezone(UTC).isoformat(),
        "until": night.until.astimezone(UTC).isoformat(),
        "complete": night.complete,
        "green": night.green,
        "expected": night.expected,
        "looked_at": night.looked_at,
        "incomplete": list(night.incomplete),
        "ok": night.ok,
        "muted": night.muted,
        "fleets": dict(night.fleets),
        "unscheduled": list(night.unscheduled),
        "new": of(night.new),
        "still_open": of(night.still_open),
        "resolved": of(night.resolved),
        "cannot_tell": [{"subject": one.subject, "reason": one.reason, "run_id": one.run_id} for one in night.cannot_tell],
        "needs_attention": [run.id for run in night.needs_attention],
        "held": [run.id for run in night.held],
        "failed": [run.id for run in night.failed],
        "skipped": [run.id for run in night.skipped],
        "approvals": [approval.id for approval in night.approvals],
        "repaired": [run.id for run in night.repaired],
        "answered": [one.id for one in night.answered],
    }


def _worst(findings: Sequence[FindingFacts]) -> str | None:
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default=None)


def _count(number: int, noun: str, rest: str = "", *, plural: str | None = None) -> str:
    """`2 new findings`, `1 run needing attention`; nothing for none."""
    word = noun if number == 1 else plural or f"{noun}s"
    return f"{number} {word} {rest}".rstrip() if number else ""


def _url(night: Night, page: str) -> str:
    return f"{night.console_url.rstrip('/')}/{page}"
