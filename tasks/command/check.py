"""The check: run each entry's program, then read what it printed and how it ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tasks.command.entry import LIMIT_OF_A_RUN_SECONDS, CommandEntry
from tasks.command.lines import read
from tasks.context import Command, CommandResult, Context
from tasks.errors import Cancelled, ProviderError
from tasks.job import Job, Params
from tasks.masking import Mask
from tasks.model import Answer, CannotTell, Finding, Json, Ok, Severity
from tasks.programs import all_environment, kept_back, last_lines, read_secrets


class CommandParams(Params):
    """Which entries to run. A command never comes from a request."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One program that has ended, with its output as text, masked."""

    entry: CommandEntry
    result: CommandResult
    stdout: str
    stderr: str

    def cannot_tell(self, reason: str, detail: str) -> CannotTell:
        evidence: dict[str, Json] = {"stderr": last_lines(self.stderr), "stdout": last_lines(self.stdout)}
        return _cannot_tell(self.entry, reason, "run", detail, evidence)

    def finding(self, key: str, reason: str, severity: Severity, title: str) -> Finding:
        evidence: dict[str, Json] = {"exit_code": self.result.exit_code, "stderr": last_lines(self.stderr)}
        if not self.stderr.strip():
            evidence["stdout"] = last_lines(self.stdout)
        return Finding(
            entry=self.entry.name, subject=self.entry.name, key=key, reason=reason, severity=severity,
            title=title, evidence=evidence, recheck=self.entry.recheck,
        )  # fmt: skip

    def ok(self) -> Ok:
        return Ok(entry=self.entry.name, subject=self.entry.name, summary=self.first_line, recheck=self.entry.recheck)

    @property
    def first_line(self) -> str:
        """Without the performance figures that a monitoring plugin puts behind `|`."""
        return " ".join(self.stdout.partition("\n")[0].partition("|")[0].split())[:300]


def check(ctx: Context, params: CommandParams) -> Iterator[Answer]:  # noqa: ARG001 - its entries are selected already
    """One program after the other; all that a program said is masked before it leaves here."""
    for entry in ctx.entries(CommandEntry):
        ctx.checkpoint()
        try:
            secrets = read_secrets(entry.env, ctx.secrets)
        except ProviderError as error:
            yield _cannot_tell(entry, "cannot_read_secret", error.stage, str(error), {})
            continue
        mask = Mask.of(kept_back(entry.pass_env, secrets))
        for answer in _look(ctx, entry, secrets, mask):
            yield mask.answer(answer)


def _look(ctx: Context, entry: CommandEntry, secrets: dict[str, str], mask: Mask) -> Iterator[Answer]:
    ctx.progress(0, 1, entry.name)
    try:
        result = ctx.commands.run(_command(entry, secrets), cancelled=ctx.cancelled)
    except ProviderError as error:
        reason = "cannot_start" if error.stage == "start" else "cannot_run"
        yield _cannot_tell(entry, reason, error.stage, str(error), {})
        return
    itself = result.ended_by == "itself"
    stdout, stderr = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
    hide = mask.text if itself else mask.cut
    ended = Ended(entry, result, hide(stdout), hide(stderr))
    for name, text in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        if text:
            ctx.artifacts.put(f"{entry.name}.{name}.txt", text.encode(), secret=bool(mask.secrets))
    if result.ended_by == "cancelled":
        message = f"{entry.name}: cancelled after {result.elapsed.total_seconds():.1f} s"
        raise Cancelled(message)
    said = list(read(entry, stdout if itself else whole_lines(stdout), mask))
    yield from said
    yield from conclude(ended, said)
    ctx.progress(1, 1, entry.name)


def _command(entry: CommandEntry, secrets: dict[str, str]) -> Command:
    return Command(
        argv=entry.argv,
        cwd=entry.cwd or Path("/"),
        environment=all_environment(entry.pass_env, entry.env, secrets),
        stdin=b"",
        timeout=timedelta(seconds=entry.timeout_seconds),
        output_limit_bytes=entry.output_limit_kb * 1024,
        memory_limit_bytes=entry.memory_mb and entry.memory_mb * 1024 * 1024,
    )


def conclude(ended: Ended, said: list[Answer]) -> Iterator[Answer]:
    """What its end adds to what it said. A script that ended badly and said why needs no second finding for that."""
    result, entry = ended.result, ended.entry
    after = f"after {result.elapsed.total_seconds():.1f} s"
    match result.ended_by:
        case "timeout":
            yield ended.cannot_tell("timeout", f"did not end within {entry.timeout_seconds:g} s; it was ended {after}")
        case "output_limit":
            yield ended.cannot_tell("output_limit", f"printed more than {entry.output_limit_kb} KiB; it was ended {after}")
        case "signal":
            yield ended.cannot_tell("ended_by_signal", f"ended by signal {result.signal} {after}")
        case _ if result.exit_code in entry.ok_exit_codes and not (entry.nagios and result.exit_code):
            if not said:
                yield ended.ok()
        case _ if not any(map(tells_of_trouble, said)):
            yield nagios(ended) if entry.nagios else exit_code(ended)


def tells_of_trouble(answer: Answer) -> bool:
    """A broken line tells nothing of why the script ended badly."""
    return isinstance(answer, Finding) or (isinstance(answer, CannotTell) and answer.reason != "broken_output")


def exit_code(ended: Ended) -> Finding:
    title = f"{ended.entry.name} ended with exit code {ended.result.exit_code}"
    return ended.finding("exit_code", "exit_code", ended.entry.severity, title)


def nagios(ended: Ended) -> Answer:
    """https://www.monitoring-plugins.org/doc/guidelines.html#AEN78: 1 warning, 2 critical, 3 unknown; others are not defined."""
    title = ended.first_line or f"{ended.entry.name} ended with exit code {ended.result.exit_code}"
    match ended.result.exit_code:
        case 1:
            return ended.finding("nagios", "nagios_warning", Severity.MEDIUM, title)
        case 2:
            return ended.finding("nagios", "nagios_critical", Severity.HIGH, title)
        case _:
            return ended.cannot_tell("nagios_unknown", title)


def whole_lines(text: str) -> str:
    """Without a last line that was cut when the program was ended."""
    return text[: text.rfind("\n") + 1]


def _cannot_tell(entry: CommandEntry, reason: str, stage: str, detail: str, evidence: dict[str, Json]) -> CannotTell:
    return CannotTell(
        entry=entry.name, subject=entry.name, reason=reason, stage=stage, detail=detail, evidence=evidence, recheck=entry.recheck
    )


JOB = Job(
    name="command",
    summary="Runs a script of yours; its exit code and its JSON lines become findings.",
    check=check,
    params=CommandParams,
    entry=CommandEntry,
    entries_per_run=1,
    time_limit=timedelta(seconds=LIMIT_OF_A_RUN_SECONDS),
    examples={"Run the script of one entry": "nightshift run command --param entries=disk-space --wait"},
)
