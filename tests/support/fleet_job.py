"""A job whose looks are heavy and share accounts; one may hang so that nothing but a kill ends it."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from tasks.context import Context, Entry, Load
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Ok, Severity


class Member(Entry):
    """One of the fleet."""

    account: str = ""
    memory_mb: int = 0
    seconds: float = 0.0
    says: Literal["ok", "drifted", "odd", "cannot_tell"] = "ok"
    hangs: bool = False

    def load(self) -> Load:
        return Load(account=self.account, memory_mb=self.memory_mb)


def check(ctx: Context, params: Params) -> Iterator[Answer]:
    for member in ctx.entries(Member):
        _work(ctx, member)
        yield _answer(member)


def _work(ctx: Context, member: Member) -> None:
    while member.hangs:
        # Deaf to its time limit too.
        with contextlib.suppress(BaseException):
            time.sleep(60)
    until = time.monotonic() + member.seconds
    while time.monotonic() < until:
        ctx.checkpoint()
        time.sleep(0.01)


def _answer(member: Member) -> Answer:
    if member.says == "ok":
        return Ok(entry=member.name, subject=member.name)
    if member.says == "cannot_tell":
        return CannotTell(entry=member.name, subject=member.name, reason="away", stage="look", detail="nobody answered")
    desired, actual = (1, 2) if member.says == "drifted" else (None, None)
    return Finding(
        entry=member.name,
        subject=member.name,
        key=member.says,
        reason=member.says,
        severity=Severity.LOW,
        title=member.name,
        desired=desired,
        actual=actual,
    )


JOB = Job(
    name="fleet",
    summary="Looks at a fleet",
    check=check,
    params=Params,
    entry=Member,
    time_limit=timedelta(seconds=10),
)
