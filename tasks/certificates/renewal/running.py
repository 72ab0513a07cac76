"""Runs one command of a renewal and says how it ended: a receipt, or `StepFailed`."""

import os
import pwd
from collections.abc import Mapping

from tasks.certificates.entry import CertificateEntry
from tasks.certificates.renewal.orders import command
from tasks.context import ApplyContext, CommandResult
from tasks.errors import ProviderError, StepFailed
from tasks.masking import Mask
from tasks.model import Json
from tasks.programs import kept_back, last_lines, read_secrets


def run(ctx: ApplyContext, entry: CertificateEntry, action: str) -> dict[str, Json]:
    """The proof that it ended well. `cancelled` is not handed on: a renewal is never ended in mid-step.

    Raises `StepFailed` for a command that could not start, or ended by itself or by us with anything but exit code 0; what
    becomes of one whose keeper was killed nobody knows: then `ProviderError`.
    """
    try:
        secrets = read_secrets(entry.renew_env, ctx.secrets)
    except ProviderError as error:
        raise StepFailed(f"{action} of {entry.place} was not started: {error}") from None
    try:
        result = ctx.commands.run(command(entry, action, secrets))
    except ProviderError as error:
        if error.stage != "start":
            raise
        raise StepFailed(f"{action} of {entry.place} was not started: {error}") from None
    hidden = kept_back(entry.renew_pass_env, secrets)
    output = _masked(result, Mask.of(hidden))
    for name, text in output.items():
        if text:
            ctx.artifacts.put(f"{entry.name}.{action}.{name}.txt", text.encode(), secret=bool(hidden))
    if failure := _failure(entry, action, result):
        said = last_lines(output["stderr"]) or last_lines(output["stdout"])
        raise StepFailed(f"{failure}; it said:\n{said}" if said else f"{failure}; it said nothing")
    return {"exit_code": result.exit_code, "elapsed_seconds": round(result.elapsed.total_seconds(), 3), "user": _user()}


def _user() -> str:
    """As whom the command ran: the worker's own user."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _masked(result: CommandResult, mask: Mask) -> Mapping[str, str]:
    hide = mask.text if result.ended_by == "itself" else mask.cut
    return {
        "stdout": hide(result.stdout.decode(errors="replace")),
        "stderr": hide(result.stderr.decode(errors="replace")),
    }


def _failure(entry: CertificateEntry, action: str, result: CommandResult) -> str | None:
    after = f"after {result.elapsed.total_seconds():.1f} s"
    what = f"{action} of {entry.place}"
    match result.ended_by:
        case "itself" if result.exit_code == 0:
            return None
        case "itself":
            return f"{what} ended with exit code {result.exit_code} {after}"
        case "timeout":
            limit = command(entry, action, {}).timeout.total_seconds()
            return f"{what} did not end within {limit:g} s; it was ended {after}"
        case "output_limit":
            return f"{what} printed more than {entry.renew_output_limit_kb} KiB; it was ended {after}"
        case _:
            return f"{what} was ended by signal {result.signal} {after}"
