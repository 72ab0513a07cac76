"""The lab: a cloud, a file backend and the real CLI, and stacks made with them."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.stacks import Backend, Source, Stack
from tests.lab.cloud import HOME_ACCOUNT, Cloud
from tests.lab.events import Ran, read_log
from tests.lab.plugins import lay_out
from tests.lab.program import Program
from tests.servers.pulumi_install import Programs

Json = Any
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStack:
    """One stack. `folder` holds its program, `environment` reaches every command on it."""

    program: Program
    name: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def urn(self, name: str) -> str:
        return self.program.urn(self.name, name)

    def id(self, name: str) -> str:
        """Of the resource's object, as long as it was never made anew."""
        return f"{self.program.name}.{self.name}.{name}"


class Lab:
    """All of it in one folder. `home` is its PULUMI_HOME, with the plugins of the fake cloud."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.programs = programs
        self.folder = folder
        self.cloud = Cloud(folder / "cloud")
        self.home = folder / "home"
        self.plugins = self.home / "plugins"
        self.states = folder / "states"
        self.states.mkdir(parents=True, exist_ok=True)
        self.passphrase_file = folder / "passphrase"
        self.passphrase_file.write_text(PASSPHRASE)
        lay_out(self.plugins, self.cloud.folder)

    @property
    def backend_url(self) -> str:
        return f"file://{self.states}"

    def stack(
        self,
        program: Program,
        name: str = "dev",
        *,
        account: str = HOME_ACCOUNT,
        up: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> LabStack:
        """A new stack of `program`, by one real `up` unless told otherwise."""
        folder = self.folder / "programs" / program.name / name
        made = LabStack(program=program, name=name, folder=folder, environment=environment or {})
        made.folder.mkdir(parents=True)
        self.write(made, program)
        self._expect(made, "stack", "init", name)
        if account != HOME_ACCOUNT:
            self._expect(made, "config", "set", "fakecloud:account", account, "--stack", name)
        if up:
            self.up(made)
        return made

    def write(self, stack: LabStack, program: Program) -> None:
        """Another program in the same folder; nothing is deployed."""
        (stack.folder / "Pulumi.yaml").write_text(program.text())

    def up(self, stack: LabStack) -> Ran:
        """Deploy; the state is written once at the end, not after every resource, which costs a third of the time."""
        # Pulumi's own switch. An update that is to be interrupted must not have it: `run` leaves it off.
        environment = {**stack.environment, "PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
        done = self.run(replace(stack, environment=environment), "up", "--yes", "--skip-preview")
        assert done.exit_code == 0, done.output
        return done

    def run(self, stack: LabStack, *words: str) -> Ran:
        """One command on the stack, to its end."""
        return self.finish(self.start(stack, *words))

    def start(self, stack: LabStack, *words: str, session: bool = True) -> "Running":
        """The same, still running: in a session of its own, with files for its output and its events."""
        number = len(list(self.folder.glob("command-*.log")))
        log, output = self.folder / f"command-{number}.events", self.folder / f"command-{number}.log"
        argv = [str(self.programs.pulumi), *words, "--stack", stack.name, "--non-interactive"]
        argv += ["--event-log", str(log)] if words[0] in {"up", "preview", "refresh", "destroy"} else []
        with output.open("wb") as file:
            process = subprocess.Popen(
                argv, cwd=stack.folder, env=self.environment(stack), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=session,
            )  # fmt: skip
        return Running(process=process, log=log, output=output)

    def finish(self, running: "Running", seconds: float = 110.0) -> Ran:
        try:
            code = running.process.wait(seconds)
        finally:
            running.end()
        return Ran(exit_code=code, output=running.output.read_text(errors="replace"), log=read_log(running.log))

    def environment(self, stack: LabStack) -> dict[str, str]:
        return {
            "PATH": f"{self.programs.path}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.folder),
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": self.backend_url,
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            **stack.environment,
        }

    def checkpoint(self, stack: LabStack) -> Path:
        return self.states / ".pulumi" / "stacks" / stack.program.name / f"{stack.name}.json"

    def state_hash(self, stack: LabStack) -> str:
        return hashlib.sha256(self.checkpoint(stack).read_bytes()).hexdigest()

    def pending(self, stack: LabStack) -> list[str]:
        """Pending operations of its state: `creating a`."""
        latest = json.loads(self.checkpoint(stack).read_text())["checkpoint"]["latest"] or {}
        return [f"{one['type']} {one['resource']['urn'].split('::')[-1]}" for one in latest.get("pending_operations") or []]

    def sizes(self, stack: LabStack) -> dict[str, int]:
        """Of its objects, by the names of their resources."""
        found = {name: self.cloud.get(stack.id(name)) for name in stack.program.resources}
        return {name: int(one["size"]) for name, one in found.items() if one is not None}

    def locks(self) -> list[Path]:
        return sorted((self.states / ".pulumi" / "locks").glob("**/*.json"))

    def copies(self, stack: LabStack, names: Iterable[str]) -> list[LabStack]:
        """More stacks like it without the CLI: its checkpoint, program and objects with another name in them.

        Such a state is what a real `up` would have written but for times; secrets in it stay under the same salt and passphrase.
        """
        copies = []
        for name in names:
            copy = LabStack(program=stack.program, name=name, folder=stack.folder.parent / name, environment=stack.environment)
            copy.folder.mkdir(parents=True)
            for source, target in self._files(stack, copy):
                target.write_text(_renamed(source.read_text(), stack, copy))
            copies.append(copy)
        return copies

    def _files(self, stack: LabStack, copy: LabStack) -> list[tuple[Path, Path]]:
        texts = [(self.checkpoint(stack), self.checkpoint(copy)), (stack.folder / "Pulumi.yaml", copy.folder / "Pulumi.yaml")]
        texts.append((stack.folder / f"Pulumi.{stack.name}.yaml", copy.folder / f"Pulumi.{copy.name}.yaml"))
        objects = self.cloud.objects.glob(f"*/{stack.id('')}*.json")
        return texts + [(path, path.with_name(path.name.replace(stack.id(""), copy.id(""), 1))) for path in objects]

    def value(self, stack: LabStack, **changes: Json) -> Stack:
        """As the drift job would be told of it."""
        known: dict[str, Json] = {
            "organization": "organization",
            "project": stack.program.name,
            "name": stack.name,
            "backend": Backend(url=self.backend_url),
            "source": Source(path=stack.folder),
            "passphrase": f"file:{self.passphrase_file}",
            "environment": stack.environment,
        }
        return Stack(**{**known, **changes})

    def _expect(self, stack: LabStack, *words: str) -> None:
        argv: Sequence[str] = [str(self.programs.pulumi), *words, "--non-interactive"]
        done = subprocess.run(argv, cwd=stack.folder, env=self.environment(stack), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A command in its own session: its process id is the session's."""

    process: subprocess.Popen[bytes]
    log: Path
    output: Path

    def signal(self, number: signal.Signals) -> None:
        """To the CLI alone."""
        self.process.send_signal(number)

    def session(self) -> list[int]:
        """Ids of the processes that are left of it: the CLI, its language host, its providers."""
        return session_of(self.process.pid)

    def end(self) -> None:
        """Nothing is left of it."""
        for left in self.session():
            with suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        self.process.wait()


def session_of(leader: int) -> list[int]:
    """Ids of the living processes of that session."""
    stats = {path.name: _stat(path) for path in Path("/proc").glob("[0-9]*")}
    return sorted(int(name) for name, stat in stats.items() if stat[3:4] == [str(leader)] and stat[0] != "Z")


def _stat(path: Path) -> list[str]:
    """State, parent, process group, session …: what follows the name in parentheses."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z"]


def _renamed(text: str, stack: LabStack, copy: LabStack) -> str:
    project = stack.program.name
    # URNs; ids of objects; the stack resource, whose name is `project-stack`; the checkpoint's own, `organization/project/stack`.
    for frame in ("urn:pulumi:{}::", f"{project}.{{}}.", f'::{project}-{{}}"', f'/{project}/{{}}"'):
        text = text.replace(frame.format(stack.name), frame.format(copy.name))
    return text
