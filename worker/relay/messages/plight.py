"""What is known of a run that needs a person, in lines that a mail can hold."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from notifications.message import Line, Section
from tasks.masking import texts_in
from worker.flow.runbooks import RUNBOOKS
from worker.ledger import audit_rows, effects, plans
from worker.records import Effect, EffectOutcome, Run

_LINES = 12
_RECHECKS = 3
_LOOK = ": look, then `nightshift resolve"
"""Where the ways out begin in a summary; the message has them whole."""
_WAYS_OUT = {
    "--applied": "It is done",
    "--not-applied": "It is not all done, and shall not go on",
}
_GO_ON, _AGAIN = "Do what is left, and look again; what is done is not repeated", "It did not happen, and shall be tried again"
_WORDS = {
    EffectOutcome.APPLIED: "done",
    EffectOutcome.FAILED: "failed",
    EffectOutcome.DID_NOT: "not done",
    None: "nobody knows whether it happened",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plight:
    """A run, how far its steps came, what looking again saw, and how it can be looked at by hand."""

    run: Run
    begun: Sequence[Effect]
    verdict: str
    seen: Sequence[str]
    """One line for each thing that was looked at, the worst first; empty: nobody could look."""
    rechecks: Sequence[str]

    @property
    def failed(self) -> Effect | None:
        return next((effect for effect in self.begun if effect.outcome is EffectOutcome.FAILED), None)

    @property
    def headline(self) -> str:
        """What became of it, in half a sentence."""
        if self.failed is not None:
            return f"step {self.failed.step} failed: {_first(self.failed.detail)}"
        if self.seen:
            return f"{self.verdict.replace('_', ' ')}: {self.seen[0]}"
        return _first(self.body)

    @property
    def body(self) -> str:
        """Why a person, and how far it came."""
        if not self.begun:
            return self._why
        steps = [f"{effect.step}: {_WORDS[effect.outcome]}" for effect in self.begun]
        told = [] if self.failed or self.seen else [self._why]
        waits = "Nothing more is done until somebody says what became of it."
        return "\n".join([*told, f"Its steps: {'; '.join(steps)}.", waits])

    @property
    def _why(self) -> str:
        return self.run.summary.partition(_LOOK)[0]

    def sections(self) -> list[Section]:
        """What was seen and said, the ways out as whole commands, and the runbook's own words: whoever is woken has it all."""
        said = self.failed.detail.splitlines() if self.failed is not None else []
        unknown = not self.begun or any(effect.outcome is None for effect in self.begun)
        ways_out = {**_WAYS_OUT, "--retry": _AGAIN if unknown else _GO_ON}
        ways = [f'{words}: nightshift resolve {self.run.id} {way} --reason "…"' for way, words in ways_out.items()]
        book = RUNBOOKS.get(self.run.reason or "")
        told: dict[str, Sequence[str]] = {
            "What was seen afterwards": self.seen[:_LINES],
            f"What step {self.failed.step} said" if self.failed else "": said[:1] + said[1:][-_LINES:],
            "Check again by hand": self.rechecks[:_RECHECKS],
            "Ways out": ways,
            "What it means": [book.means] if book else [],
            "Where to look": [book.look] if book else [],
            "What to do": [book.do] if book else [],
        }
        named = [(heading, [_plain(line, self.run) for line in lines if line.strip()]) for heading, lines in told.items()]
        return [Section(heading, [Line(line) for line in lines]) for heading, lines in named if lines]


def plight_of(connection: Connection, run: Run) -> Plight:
    """As the ledger has it now."""
    rows = audit_rows.recent(connection, object_id=run.id, limit=50)
    last = next((row.entry.facts for row in rows if row.entry.verb == "run.looked_again"), {})
    before = [row.recheck for row in plans.findings(connection, run.plan) if row.recheck] if run.plan else []
    return Plight(
        run=run,
        begun=effects.of_run(connection, run.id),
        verdict=str(last.get("verdict", "")),
        seen=_lines(str(last.get("detail", ""))),
        # The finding's own line is of before the repair: it may look where all is well by now.
        rechecks=list(texts_in(last.get("rechecks"))) or list(dict.fromkeys(before)),
    )


def _lines(detail: str) -> list[str]:
    """A verification tells of its targets one after the other, set apart by semicolons."""
    return [part.strip() for line in detail.splitlines() for part in line.split("; ") if part.strip()]


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _plain(line: str, run: Run) -> str:
    return line.replace("`", "").replace(" RUN ", f" {run.id} ")
