"""From what was seen and how the command ended to a `Look`, or to the reason why there is none."""

from tasks.errors import StackError
from tasks.providers.pulumi.looking import MOST_DIAGNOSTICS, Seen
from tasks.providers.pulumi.reasons import reason_of, reason_of_read
from tasks.providers.pulumi.running import Ran
from tasks.stacks import FailedRead, Look, Looked, Stack

_KILLED = -1
"""`Look.exit_code` of a command that was ended by a signal."""
_LONGEST_REASON = 600


def judge(stack: Stack, seen: Seen, ran: Ran, remarks: tuple[str, ...]) -> Look:
    """What can be said. A D that was cut short or had failing reads still tells what it saw, `complete` being false; so do U and
    R that only refused to touch what is protected. Of any other U and R that failed nothing counts: a program that did not come
    to its end did not name all of its resources.

    Raises `StackError`.
    """
    if ran.ended_by == "cancelled":
        raise StackError(f"{stack.full_name}: the look was cancelled", reason="cancelled", stage="look", retryable=True)
    refused = seen.refused() if seen.looked is not Looked.D and ran.exit_code else []
    failed = seen.failed() + refused
    failed += _unseen(seen, ran)
    if ran.exit_code != 0:
        if not _tells_something(seen, failed, ran):
            raise _failure(stack, seen, ran)
    elif seen.summary is None:
        message = f"{stack.full_name}: pulumi ended well, but its event log has no end; is this CLI one of those we know?"
        raise StackError(message, reason="failed", stage="look")
    counts = seen.looked is Looked.D or ran.exit_code == 0 or bool(refused)
    return Look(
        looked=seen.looked,
        changes=tuple(seen.changes) if counts else (),
        same=seen.same if counts else 0,
        failed=tuple(failed),
        complete=ran.exit_code == 0 and not failed and not seen.unreadable,
        state_before=seen.deployment.sha256,
        state_after=seen.deployment.sha256,
        elapsed=ran.elapsed,
        exit_code=_KILLED if ran.exit_code is None else ran.exit_code,
        diagnostics=(*remarks, *seen.diagnostics())[:MOST_DIAGNOSTICS],
        seen=tuple(seen.urns),
        refreshed=tuple(seen.refreshed),
        hidden=tuple(seen.hidden),
    )


def _unseen(seen: Seen, ran: Ran) -> list[FailedRead]:
    """Also of a D that ended well: it leaves out what waits for a replacement, and may leave out what we do not know of yet."""
    if seen.looked is not Looked.D:
        return []
    if ran.ended_by == "timeout":
        return seen.unseen("timed_out", "the look was ended at its deadline, before it came to this resource")
    if ran.ended_by == "output":
        return seen.unseen("too_much_output", "the look wrote too much and was ended, before it came to this resource")
    why = "the look said nothing of this resource" if ran.exit_code == 0 else "the look ended before it came to this resource"
    return seen.unseen("not_reached", why)


def _tells_something(seen: Seen, failed: list[FailedRead], ran: Ran) -> bool:
    """Whether the look is worth more than its failure: some resource was read, or it is known which could not be."""
    if ran.ended_by == "signal":
        return False
    if seen.looked is Looked.D:
        return bool(seen.urns)
    return bool(failed) and ran.ended_by == "itself"


def _failure(stack: Stack, seen: Seen, ran: Ran) -> StackError:
    if ran.ended_by == "timeout":
        message = f"{stack.full_name}: pulumi was ended at its deadline, after {ran.elapsed.total_seconds():.0f} s"
        return StackError(message, reason="timed_out", stage="look", retryable=True)
    if ran.ended_by == "output":
        message = f"{stack.full_name}: pulumi was ended, because it or the program wrote without end"
        return StackError(message, reason="too_much_output", stage="look")
    if ran.ended_by == "signal":
        message = f"{stack.full_name}: pulumi was ended by a signal from outside, after {ran.elapsed.total_seconds():.0f} s"
        return StackError(message, reason="failed", stage="look", retryable=True)
    said = "\n".join([*(words for _, words in seen.errors), *seen.stderr, ran.errors()]).strip() or ran.output().strip()
    shown = seen.masker.text(said)[:_LONGEST_REASON] or "without a word"
    message = f"{stack.full_name}: pulumi ended with exit code {ran.exit_code}: {shown}"
    reason = reason_of(said, ran.exit_code)
    if reason == "failed" and (seen.looked is not Looked.D or stack.run_program) and not seen.failed_urns:
        reason = "program_failed"  # each language says it in words of its own
    if reason == "failed" and (read := reason_of_read(said)) != "read_failed":
        reason = read  # as of a single resource: nothing at all could be read
    return StackError(message, reason=reason, stage="look")
