"""Asks a program of the estate who the stack's credentials are: the answer tells another account from a deleted world."""

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from tasks.errors import StackError
from tasks.providers.pulumi.granting import Granted
from tasks.providers.pulumi.reasons import reason_of
from tasks.providers.pulumi.running import run
from tasks.stacks import Stack

_LONGEST_ANSWER = 4096


def ask(
    stack: Stack,
    argv: Sequence[str],
    granted: Granted,
    folder: Path,
    *,
    deadline: timedelta,
    cancelled: Callable[[], bool],
    grace: timedelta,
) -> str:
    """What `argv` prints, stripped. Raises `StackError`: `credentials_expired`, `timed_out`, `cancelled`, `failed`."""
    program = shutil.which(argv[0], path=granted.environment["PATH"])
    if program is None:
        message = f"{stack.full_name}: the identity command {argv[0]!r} is not there"
        raise StackError(message, reason="failed", stage="identity")
    ran = run(
        [os.path.abspath(program), *argv[1:]],  # noqa: PTH100 - links stay as they are
        cwd=folder,
        environment=granted.environment,
        folder=folder,
        deadline=deadline,
        cancelled=cancelled,
        grace=grace,
    )
    if ran.ended_by in {"timeout", "cancelled"}:
        reason = "timed_out" if ran.ended_by == "timeout" else "cancelled"
        message = f"{stack.full_name}: the identity command did not answer within {deadline.total_seconds():.0f} s"
        raise StackError(message, reason=reason, stage="identity", retryable=True)
    if ran.exit_code != 0:
        said = granted.mask.text(ran.errors().strip() or ran.output().strip())[:_LONGEST_ANSWER]
        found = reason_of(said, None)
        message = f"{stack.full_name}: the identity command ended with exit code {ran.exit_code}: {said}"
        raise StackError(message, reason=found if found == "credentials_expired" else "failed", stage="identity")
    return granted.mask.text(ran.output().strip())[:_LONGEST_ANSWER]
