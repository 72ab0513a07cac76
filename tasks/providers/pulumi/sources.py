"""Programs: a folder, or a git repository cloned once into the cache and checked out anew for each command."""

import fcntl
import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tasks.errors import StackError
from tasks.providers.pulumi.backends.opening import shown
from tasks.stacks import Source, Stack

PROJECT = ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json")
_COMMIT = re.compile(r"[0-9a-f]{40}")
FETCH_AGAIN = timedelta(minutes=1)
_PATIENCE = timedelta(minutes=10)
"""For one git command; a first clone may be long."""
_LAST_CHARS = 500


def open_program(stack: Stack, *, cache: Path, folder: Path) -> Path:
    """The folder to run in, `folder` or the source's own. Raises `StackError(reason="program_missing")`."""
    source = stack.source
    if source is None:
        raise _missing(stack, "its source is not known")
    program = source.path if source.git_url is None else _checked_out(stack, source, source.git_url, cache, folder) / source.path
    if not any((program / name).is_file() for name in PROJECT):
        raise _missing(stack, f"there is no {PROJECT[0]} in {program if source.git_url is None else source.path}")
    return program


def stand_in(stack: Stack, folder: Path) -> Path:
    """A project without a program: enough to compare a state with the cloud, for which no program is run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROJECT[0]).write_text(f"name: {stack.project}\nruntime: yaml\n", encoding="utf-8")
    return folder


def pin(stack: Stack) -> Stack:
    """`stack` at the commit that its ref is at now. Asks the repository, fetches nothing. A ref that it does not list, such as a
    short commit, stays for the checkout to find. Raises `StackError(reason="program_missing")`.
    """
    source = stack.source
    ref = (source.git_ref if source else None) or "HEAD"
    if source is None or source.git_url is None or _COMMIT.fullmatch(ref):
        return stack
    _refuse_options(stack, source.git_url, ref)
    said = _git(stack, "ls-remote", "--quiet", "--", source.git_url, ref, f"{ref}^{{}}")
    listed = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
    # In the order in which git itself reads a short name; a tag with a message is an object of its own.
    names = (ref, f"refs/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}")
    commit = next((listed[name] for name in names if name in listed), ref)
    return replace(stack, source=replace(source, git_ref=commit))


def _refuse_options(stack: Stack, url: str, ref: str) -> None:
    if ref.startswith("-") or url.startswith("-"):
        raise _missing(stack, "its git URL or ref begins with a dash")


def _checked_out(stack: Stack, source: Source, url: str, cache: Path, folder: Path) -> Path:
    ref = source.git_ref or "HEAD"
    _refuse_options(stack, url, ref)
    mirror = cache / "git" / hashlib.sha256(url.encode()).hexdigest()[:24]
    with _only_one(mirror):
        if not (mirror / "HEAD").exists():
            _git(stack, "clone", "--mirror", "--quiet", "--", url, str(mirror))
        elif not _has(mirror, ref):
            _git(stack, "--git-dir", str(mirror), "fetch", "--prune", "--quiet", "origin")
            (mirror / "fetched").touch()
    commit = _git(stack, "--git-dir", str(mirror), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    folder.mkdir(parents=True, exist_ok=True)
    # An index of its own for each checkout: many at once share the mirror.
    index = {"GIT_INDEX_FILE": str(folder.with_suffix(".index"))}
    _git(stack, "--git-dir", str(mirror), "--work-tree", str(folder), "checkout", "--force", commit.strip(), "--", ".", **index)
    return folder


def _has(mirror: Path, ref: str) -> bool:
    """A commit never moves; anything else is looked up again after a while."""
    if _COMMIT.fullmatch(ref):
        found = subprocess.run(
            ["git", "--git-dir", mirror, "cat-file", "-e", f"{ref}^{{commit}}"],  # noqa: S607 - found on PATH
            env=_environment(),
            capture_output=True,
            check=False,
        )
        return found.returncode == 0
    fetched = mirror / "fetched"
    newest = max((path.stat().st_mtime for path in (fetched, mirror / "config") if path.exists()), default=0.0)
    return time.time() - newest < FETCH_AGAIN.total_seconds()


def _git(stack: Stack, *arguments: str, **variables: str) -> str:
    command = ["git", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", *arguments]
    environment = {**_environment(), **_granted(stack), **variables}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_PATIENCE.total_seconds(), check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _missing(stack, f"git: {type(error).__name__}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-_LAST_CHARS:]
        raise _missing(stack, f"git said: {without_user(said) or 'no such ref'}")
    return done.stdout.decode(errors="replace")


def without_user(text: str) -> str:
    """What git is told and says, without the users and passwords in its URLs."""
    return re.sub(r"://[^/@ ]+@", "://", text)


def _environment() -> dict[str, str]:
    """Git acts for us, not for the program: it may use our home, for its keys and credentials."""
    passed = {name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK") if name in os.environ}
    return {**passed, "LANG": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}


def _granted(stack: Stack) -> dict[str, str]:
    return {name: value for name, value in stack.environment.items() if name in {"GIT_SSH_COMMAND", "GIT_ASKPASS"}}


@contextmanager
def _only_one(mirror: Path) -> Iterator[None]:
    """Of several processes that need the same repository one fetches it, and the others wait."""
    mirror.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with mirror.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _missing(stack: Stack, why: str) -> StackError:
    source = stack.source
    recheck = None
    if source is not None:
        recheck = f"git ls-remote {shown(source.git_url)} {source.git_ref or 'HEAD'}" if source.git_url else f"ls {source.path}"
    return StackError(f"{stack.full_name}: no program: {why}", reason="program_missing", stage="source", recheck=recheck)
