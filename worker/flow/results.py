"""What a batch came to, one result per item of the request, in the order of the items."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection

from tasks.model import Json
from worker.flow.answers import answer_to
from worker.flow.shown import shown
from worker.ledger import gates, runs
from worker.records import Approval, AskedHow, Batch, Run, RunState, Verdict

RUNS_TOLD = 1000
"""So many runs go with a result; `GET /v1/runs?batch=` leads to all."""
_WORST_FIRST = (
    RunState.QUEUED,
    RunState.RUNNING,
    RunState.NEEDS_ATTENTION,
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.SKIPPED,
    RunState.SUCCEEDED,
)
_SAYS_MOST = (Verdict.FINDINGS, Verdict.CANNOT_TELL, Verdict.PARTIAL, Verdict.OK)

Asked = Mapping[str, Sequence[tuple[Approval, AskedHow]]]


def batch_told(connection: Connection, batch: Batch) -> dict[str, Json]:
    """The batch, a result per item, and the runs themselves: what a callback carries."""
    made = runs.of_batch(connection, batch.id)
    results = results_of(made, gates.asked_in(connection, batch.id))
    return {"batch": shown(batch), "results": results, "runs": [shown(run) for run in made[:RUNS_TOLD]]}


def results_of(made: Sequence[Run], asked: Asked) -> list[Json]:
    """One per item. An item of many entries has several runs; its result says the worst of them."""
    ordered = sorted(made, key=lambda run: (run.item, run.position))
    return [_result(item, list(group), asked) for item, group in groupby(ordered, key=lambda run: run.item)]


def _result(item: int, made: Sequence[Run], asked: Asked) -> Json:
    state = min((run.state for run in made), key=_WORST_FIRST.index)
    verdicts = [run.verdict for run in made if run.verdict in _SAYS_MOST]
    counts: Counter[str] = Counter()
    for run in made:
        counts.update(run.counts)
    return {
        "item": item,
        "job": made[0].job,
        "ok": all(run.state is RunState.SUCCEEDED and run.verdict is Verdict.OK for run in made),
        "state": state.value,
        "verdict": min(verdicts, key=_SAYS_MOST.index).value if verdicts else None,
        "reason": next((run.reason for run in made if run.reason), None),
        "summary": "; ".join(dict.fromkeys(run.summary for run in made if run.summary))[:2000],
        "counts": dict(counts),
        "runs": [run.id for run in made[:RUNS_TOLD]],
        "approvals": [_approval(approval, how) for run in made for approval, how in asked.get(run.id, ())],
    }


def fan_in(looked_at: int, expected: int, counts: Mapping[str, int]) -> str:
    """`looked at 500 of 500, 7 drifted, 2 cannot tell`: a fleet in one line, by numbers of entries."""
    drifted, others = counts.get("drifted", 0), counts.get("finding", 0) - counts.get("drifted", 0)
    told = [
        f"looked at {looked_at} of {expected}",
        f"{drifted} drifted" if drifted else "",
        f"{others} with {'other ' if drifted else ''}findings" if others else "",
        f"{counts['cannot_tell']} cannot tell" if counts.get("cannot_tell") else "",
    ]
    all_ok = expected and counts.get("ok") == expected
    return ", ".join([*filter(None, told), *(["all ok"] if all_ok else [])])


def _approval(approval: Approval, how: AskedHow) -> Json:
    return {
        "id": approval.id,
        "how": how.value,
        "answer": answer_to(approval),
        "state": approval.state.value,
        "title": approval.title,
        "subject": approval.subject,
        "environment": approval.environment,
        "risk": approval.risk.value,
        "expires_at": shown(approval)["expires_at"],
    }
