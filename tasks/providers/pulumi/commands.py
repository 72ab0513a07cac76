"""The command lines of the three looks, for us and for a person to run by hand."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tasks.providers.pulumi.backends.opening import shown
from tasks.providers.pulumi.sources import PROJECT, without_user
from tasks.stacks import Looked, Stack


def arguments(stack: Stack, looked: Looked) -> list[str]:
    """What every command of a look has. None of them writes a state or takes a lock."""
    words = {Looked.D: ["refresh", "--preview-only"], Looked.U: ["preview"], Looked.R: ["preview", "--refresh"]}[looked]
    run = ["--run-program"] if stack.run_program and looked is Looked.D else []
    return [*words, *run, "--stack", stack.full_name, "--non-interactive"]


def argv(
    cli: Path, stack: Stack, looked: Looked, *, log: Path, save_plan: Path | None, targets: Sequence[str] = ()
) -> Sequence[str]:
    """As we run it: the events go to `log`, and little is printed."""
    plan = ["--save-plan", str(save_plan)] if save_plan is not None and looked is Looked.R else []
    quiet = ["--color", "never", "--suppress-progress", "--suppress-outputs"]
    only = [word for urn in targets for word in ("--target", urn)] if looked is Looked.R else []
    return [str(cli), *arguments(stack, looked), *quiet, "--event-log", str(log), *plan, *only]


def by_hand(stack: Stack, looked: Looked | None) -> str:
    """For a person with the same credentials; no secret is in it. It brings the program along, or what stands in for one."""
    words = arguments(stack, looked) if looked else ["stack", "--stack", stack.full_name, "--show-urns"]
    there = " && ".join(_way_to(stack))
    return f"{there} && PULUMI_BACKEND_URL={shlex.quote(shown(stack.backend.url))} pulumi {shlex.join(words)}"


def _way_to(stack: Stack) -> list[str]:
    source = stack.source
    if source is None:
        return ["cd $(mktemp -d)", f"printf 'name: %s\\nruntime: yaml\\n' {shlex.quote(stack.project)} > {PROJECT[0]}"]
    if source.git_url is None:
        return [f"cd {shlex.quote(str(source.path))}"]
    clone = [f"cd $(mktemp -d) && git clone --quiet -- {shlex.quote(without_user(source.git_url))} ."]
    checkout = [f"git checkout --quiet {shlex.quote(source.git_ref)}"] if source.git_ref else []
    return [*clone, *checkout, f"cd {shlex.quote(str(source.path))}"]
