"""A branch and commits of what was edited in n8n, made beside the working tree: nothing that is checked out changes."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.providers.n8n.errors import WorkflowError

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Commit:
    """One workflow's edit."""

    path: Path
    text: str
    author: str
    """A person's name, as n8n says it; empty if it does not."""
    email: str
    message: str


class Repository:
    """The git repository that holds a folder of workflows."""

    def __init__(self, folder: Path, committer: str = "") -> None:
        """As git's own settings say, or as `committer`, who has no address. Raises `WorkflowError` if the folder is in none."""
        self._folder = folder.resolve()
        self._committer = _person("COMMITTER", committer, "") if committer else {}
        self.root = Path(self._git("rev-parse", "--show-toplevel").strip())

    def branch_exists(self, branch: str) -> bool:
        return self._git("for-each-ref", f"refs/heads/{branch}").strip() != ""

    def tip(self, branch: str) -> str | None:
        """The commit that a branch stands at."""
        listed = self._git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/heads/{branch}").splitlines()
        return next((commit for name, _, commit in map(_parted, listed) if name == f"refs/heads/{branch}"), None)

    def head(self) -> str:
        """The commit that is checked out. Raises `WorkflowError` if there is none yet."""
        return self._git("rev-parse", "--verify", "HEAD").strip()

    def committed(self, path: Path, commit: str = "HEAD") -> str | None:
        """The file's text in a commit; None if it is not there."""
        name = path.resolve().relative_to(self.root).as_posix()
        listed = self._git("ls-tree", commit, "--", str(path.resolve()))
        return self._git("show", f"{commit}:{name}") if listed.strip() else None

    def committer(self, commit: str) -> str:
        """Whoever made the commit, by name."""
        return self._git("show", "--no-patch", "--format=%cn", commit).strip()

    def merged(self, commit: str) -> bool:
        """Whether HEAD has the commit."""
        return self._git("rev-list", "--count", commit, "^HEAD").strip() == "0"

    def drop_branch(self, branch: str, commit: str) -> None:
        """Only while it stands at `commit`, and is checked out nowhere. Raises `WorkflowError`."""
        if f"branch refs/heads/{branch}" in self._git("worktree", "list", "--porcelain").splitlines():
            raise WorkflowError(f"branch {branch} is checked out: leave it first")
        self._git("update-ref", "-d", f"refs/heads/{branch}", commit)

    def make_branch(self, branch: str, commits: list[Commit]) -> str:
        """Commits on top of HEAD under a new branch; returns the last one's id. Raises `WorkflowError`."""
        self._git("check-ref-format", "--branch", branch)
        if self.branch_exists(branch):
            raise WorkflowError(f"there is a branch {branch} already: name another with --branch, or delete it")
        parent = self._git("rev-parse", "--verify", "HEAD").strip()
        with tempfile.TemporaryDirectory(prefix="nightshift-adopt-") as scratch:
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self._git("read-tree", parent, environ=index)
            for commit in commits:
                blob = self._git("hash-object", "-w", "--stdin", typed=commit.text).strip()
                name = commit.path.resolve().relative_to(self.root).as_posix()
                self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", environ=index)
                tree = self._git("write-tree", environ=index).strip()
                parent = self._git("commit-tree", tree, "-p", parent, environ=self._people(commit), typed=commit.message).strip()
        # Fails if somebody made the branch meanwhile.
        self._git("update-ref", f"refs/heads/{branch}", parent, "")
        return parent

    def _people(self, commit: Commit) -> dict[str, str]:
        """Who edited it, and who makes the commit; where either is unknown, whoever runs the command, as git's settings say."""
        author = _person("AUTHOR", commit.author or self._committer.get("GIT_COMMITTER_NAME", ""), commit.email)
        return {**self._committer, **author}

    def _git(self, *words: str, environ: Mapping[str, str] | None = None, typed: str | None = None) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
        try:
            done = subprocess.run(
                ["git", *words],  # noqa: S607 - the user's own git
                cwd=self._folder,
                env={**inherited, **(environ or {})},
                input=typed,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_SECONDS,
            )
        except FileNotFoundError as error:
            raise WorkflowError("git is not on PATH, and `adopt` makes commits with it") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise WorkflowError(f"git {words[0]} in {self._folder}: {said}")
        return done.stdout


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out where the folder lies; None if that is no git repository, or a new one."""
    try:
        return Repository(folder).head()
    except WorkflowError:
        return None


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(" ")


def _person(role: str, name: str, email: str) -> dict[str, str]:
    if not name:
        return {}
    # git takes neither line breaks nor angle brackets there, and n8n lets people call themselves anything.
    clean = re.sub(r"[<>\x00-\x1f]", " ", name).strip() or "n8n"
    address = re.sub(r"[<>\s\x00-\x1f]", "", email) or "unknown@n8n.invalid"
    return {f"GIT_{role}_NAME": clean, f"GIT_{role}_EMAIL": address}
