"""The books after a storm: what the ledger must say of every run, batch, finding, bell and audit row."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, select

from worker.audit import Verifier
from worker.ledger import Ledger, audit_rows
from worker.ledger.tables import AUDIT, BATCHES, FACTS, FINDINGS, OUTBOX, RUN_ARTIFACTS, RUN_LINES, RUNS
from worker.records import Topic
from worker.relay.chainer import PURPOSE
from worker.tokens import Keys

OUTCOMES = ("run.succeeded", "run.failed", "run.cancelled", "run.skipped", "run.needs_attention")


@dataclass(frozen=True)
class Accounts:
    """Everything in the ledger, read once."""

    runs: Sequence[Any]
    batches: Sequence[Any]
    findings: Sequence[Any]
    audit: Sequence[Any]
    outbox: Sequence[Any]
    facts: Sequence[Any]
    lines: Sequence[Any]
    artifacts: Sequence[Any]
    starts: Mapping[str, int] = field(kw_only=True)
    chain: Sequence[str] = field(kw_only=True)

    @classmethod
    def read(cls, ledger: Ledger, keys: Keys, starts: Mapping[str, int]) -> "Accounts":
        tables = (RUNS, BATCHES, FINDINGS, AUDIT, OUTBOX, FACTS, RUN_LINES, RUN_ARTIFACTS)
        with ledger.read() as connection:
            rows = [_all(connection, table) for table in tables]
            return cls(*rows, starts=starts, chain=_chain(connection, keys))

    def verbs(self, verb: str) -> Counter[str]:
        """How often the audit tells `verb`, by object."""
        return Counter(row.object_id for row in self.audit if row.verb == verb)

    def figures(self) -> dict[str, int]:
        """What goes into a report."""
        outcomes = Counter(row.object_id for row in self.audit if row.verb in OUTCOMES)
        return {
            "runs": len(self.runs),
            "requeued": sum(self.verbs("run.requeued").values()),
            "started again": sum(self.starts.values()) - len(self.starts),
            "lost": sum(1 for run in self.runs if run.state != "succeeded" or not outcomes[run.id]),
            "doubled": sum(1 for number in outcomes.values() if number > 1),
        }

    def troubles(self) -> list[str]:
        """Everything that is not as it must be once all work is done; empty is good."""
        return [*self._of_runs(), *self._of_batches(), *self._of_findings(), *self._of_outbox(), *map(str, self.chain)]

    def _of_runs(self) -> Iterator[str]:
        outcomes = Counter(row.object_id for row in self.audit if row.verb in OUTCOMES)
        told_by = {row.object_id: row.facts["fence"] for row in self.audit if row.verb in OUTCOMES}
        claimed = self.verbs("run.started")
        kept = {
            "facts": Counter(row.run_id for row in self.facts if row.name == "looks"),
            "artifacts": Counter(row.run_id for row in self.artifacts),
        }
        for run in self.runs:
            if run.state != "succeeded":
                yield f"run {run.id} is {run.state}: {run.reason} {run.summary}"
                continue
            if outcomes[run.id] != 1:
                yield f"run {run.id} has {outcomes[run.id]} outcomes in the audit"
            if told_by.get(run.id) != run.fence:
                yield f"run {run.id} has its outcome from fence {told_by.get(run.id)}, its holder has {run.fence}"
            if claimed[run.id] != run.fence:
                yield f"run {run.id} was claimed {claimed[run.id]} times, its fence is {run.fence}"
            if not 1 <= self.starts.get(run.id, 0) <= run.fence:
                yield f"run {run.id} was started {self.starts.get(run.id, 0)} times under {run.fence} claims"
            yield from (f"run {run.id} has {of[run.id]} {what}" for what, of in kept.items() if of[run.id] != 1)
        yield from _unique("line", (f"{row.run_id} {row.fence} {row.number}" for row in self.lines))

    def _of_batches(self) -> Iterator[str]:
        members = Counter(run.batch_id for run in self.runs)
        queued, ended = self.verbs("batch.queued"), self.verbs("batch.ended")
        for batch in self.batches:
            if members[batch.id] != batch.total:
                yield f"batch {batch.id} has {members[batch.id]} runs of {batch.total}"
            if batch.remaining != 0 or batch.ended_at is None:
                yield f"batch {batch.id} has not ended: {batch.remaining} remain"
            if (queued[batch.id], ended[batch.id]) != (1, 1):
                yield f"batch {batch.id} was queued {queued[batch.id]} times and ended {ended[batch.id]} times in the audit"

    def _of_findings(self) -> Iterator[str]:
        """Each run looks at an entry of its own, so each has one finding, seen once."""
        by_run = Counter(row.run_id for row in self.findings)
        yield from (f"run {run.id} has {by_run[run.id]} findings" for run in self.runs if by_run[run.id] != 1)
        yield from (f"finding {row.id} was seen {row.times_seen} times" for row in self.findings if row.times_seen != 1)

    def _of_outbox(self) -> Iterator[str]:
        told = {topic: Counter(row.subject for row in self.outbox if row.topic == topic) for topic in Topic}
        yield from (f"a bell is left for {subject}" for subject in told[Topic.BELL])
        for batch in self.batches:
            if told[Topic.CALLBACK][batch.id] != (1 if batch.callback else 0):
                yield f"batch {batch.id} has {told[Topic.CALLBACK][batch.id]} callbacks"
        for row in self.findings:
            if told[Topic.MESSAGE][row.id] != 1:
                yield f"finding {row.id} is told {told[Topic.MESSAGE][row.id]} times"


def _all(connection: Connection, table: Table) -> Sequence[Any]:
    return connection.execute(select(table)).all()


def _chain(connection: Connection, keys: Keys) -> list[str]:
    verifier = Verifier(lambda content, key_id: keys.mac(PURPOSE, content, key_id))
    troubles = [*verifier.feed(audit_rows.chained(connection, 0, 1_000_000)), *verifier.finish()]
    left = len(audit_rows.unchained(connection, 1_000_000))
    return [*map(str, troubles), *([f"{left} audit rows are not chained"] if left else [])]


def _unique(what: str, keys: Iterable[str]) -> list[str]:
    return [f"{what} {key} is there {number} times" for key, number in Counter(keys).items() if number > 1]
