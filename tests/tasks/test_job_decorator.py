"""`@job`: a check in ten lines."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import ValidationError

from tasks.context import Context
from tasks.job import Job, Params, job
from tasks.model import Finding, Ok, Severity
from tasks.testing import FakeContext, ReadOnlyViolation, run_check

FULL = Finding(entry="tidy", subject="tidy", key="full", reason="scratch_full", severity=Severity.LOW, title="Files in scratch")


@job(name="tidy", summary="Looks whether its scratch folder is empty.", time_limit=timedelta(minutes=1))
def tidy(ctx: Context) -> Iterator[Finding]:
    if any(ctx.scratch.iterdir()):
        yield FULL


def test_a_decorated_function_is_a_job() -> None:
    assert isinstance(tidy, Job)
    assert (tidy.name, tidy.params, tidy.entry, tidy.time_limit) == ("tidy", Params, None, timedelta(minutes=1))


def test_nothing_yielded_means_ok() -> None:
    assert run_check(tidy, FakeContext()) == [Ok(entry="tidy", subject="tidy")]


def test_findings_pass_as_they_are() -> None:
    ctx = FakeContext()
    (ctx.scratch / "file").touch()
    assert run_check(tidy, ctx) == [FULL]


def test_a_function_that_returns_nothing_at_all_is_ok() -> None:
    @job(name="silent", summary="Says nothing.")
    def silent(ctx: Context) -> list[Finding]:
        ctx.log.info("looked")
        return []

    ctx = FakeContext()
    assert run_check(silent, ctx) == [Ok(entry="silent", subject="silent")]
    assert ctx.log.events == [("info", "looked", {})]


def test_an_error_is_never_ok() -> None:
    @job(name="broken", summary="Raises.")
    def broken(ctx: Context) -> list[Finding]:
        raise RuntimeError(ctx.run_id)

    with pytest.raises(RuntimeError, match="run-1"):
        run_check(broken, FakeContext())


def test_a_decorated_job_takes_no_parameters_of_its_own() -> None:
    with pytest.raises(ValidationError):
        tidy.params.model_validate({"folder": "/"})


def test_a_decorated_job_that_writes_fails_its_test() -> None:
    @job(name="writer", summary="Writes beside its scratch folder.")
    def writer(ctx: Context) -> list[Finding]:
        ctx.scratch.with_name("beside").write_text("x")
        return []

    with pytest.raises(ReadOnlyViolation, match="beside"):
        run_check(writer, FakeContext())
