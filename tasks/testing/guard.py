"""Proves that a check only reads: an audit hook (PEP 578) that refuses every outside effect not made by a provider.

It sees what CPython announces: files, sockets, processes, SQLite. A C library with its own sockets (libpq) announces
nothing; that a job module does not import one is the import contracts' part.
"""

import os
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tasks.context import Context
from tasks.job import Job, P
from tasks.model import Answer

Arguments = tuple[object, ...]

PROVIDERS = "tasks.providers"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LIBRARIES = tuple({f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OUTSIDE = frozenset({
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
    "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
    "pty.spawn", "os.kill", "os.killpg", "signal.pthread_kill", "syslog.syslog", "syslog.openlog",
})  # fmt: skip


class ReadOnlyViolation(AssertionError):  # noqa: N818 - read in a test report, where it says what it is
    """A job reached outside by itself; names the event, its target and the place."""


@dataclass(eq=False)
class Guard:
    """One `read_only` block: whom it lets pass, and what it refused."""

    allowed: tuple[str, ...]
    scratch: tuple[Path, ...]
    refused: list[ReadOnlyViolation] = field(default_factory=list)

    def judge(self, event: str, args: Arguments) -> None:
        """Raise unless `event` is harmless, stays in scratch, or was made by a provider."""
        target = _target(event, args, self._inside)
        frame = sys._getframe(2)  # noqa: SLF001 - whoever raised the event; the documented way to ask
        if target is None or self.passes(frame):
            return
        message = f"the check reached outside by itself: {event} {target} at {_place(frame)}; only a provider may"
        self.refused.append(ReadOnlyViolation(message))
        raise self.refused[-1]

    def passes(self, frame: FrameType | None) -> bool:
        """The innermost frame that is not a library's decides: a job's callback inside a provider is still the job."""
        for module, filename, function in _frames(frame):
            if _within(module, self.allowed) or _python_does_it_itself(module, filename, function):
                return True
            if not filename.startswith((*LIBRARIES, "<frozen ")):
                return False
        return False

    def _inside(self, path: object, folder: object = -1) -> bool:
        """Whether a write to `path` (relative to the open directory `folder`, if given) stays in scratch."""
        if isinstance(path, int) or path == os.devnull:
            return True  # an open descriptor was judged when it was opened
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        base = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
        real = Path(os.path.realpath(os.path.join(base, os.fsdecode(path))))  # noqa: PTH118 - bytes and descriptors
        return any(real.is_relative_to(scratch) for scratch in self.scratch)


Inside = Callable[..., bool]


def _opened(args: Arguments, inside: Inside) -> bool:
    path, _, flags = args
    return not (isinstance(flags, int) and flags & WRITES) or inside(path)


def _database(args: Arguments, inside: Inside) -> bool:
    return args[0] in (":memory:", b":memory:", "") or inside(args[0])


FILES: Mapping[str, Callable[[Arguments, Inside], bool]] = {
    "open": _opened,
    "sqlite3.connect": _database,
    "os.remove": lambda args, inside: inside(*args[:2]),
    "os.rmdir": lambda args, inside: inside(*args[:2]),
    "os.mkdir": lambda args, inside: inside(args[0], args[2]),
    "os.rename": lambda args, inside: inside(args[0], args[2]) and inside(args[1], args[3]),
    "os.link": lambda args, inside: inside(args[0], args[2]) and inside(args[1], args[3]),
    "os.symlink": lambda args, inside: inside(args[1], args[2]),
    "os.truncate": lambda args, inside: inside(args[0]),
    "os.chmod": lambda args, inside: inside(args[0], args[2]),
    "os.chown": lambda args, inside: inside(args[0], args[3]),
    "os.utime": lambda args, inside: inside(args[0], args[3]),
    "os.setxattr": lambda args, inside: inside(args[0]),
    "os.removexattr": lambda args, inside: inside(args[0]),
    "os.chflags": lambda args, inside: inside(args[0]),
}
"""File events: whether the write stays inside scratch. Arguments as in the audit events table of the Python manual."""


def _target(event: str, args: Arguments, inside: Inside) -> str | None:
    """What a refused event reached for; None for an event that is none of our business."""
    if event in FILES:
        return None if FILES[event](args, inside) else repr(args[0])
    if event not in OUTSIDE:
        return None
    return ", ".join(repr(arg) for arg in args if isinstance(arg, str | bytes | int | tuple | list)) or "()"


def _frames(frame: FrameType | None) -> Iterator[tuple[str, str, str]]:
    while frame is not None:
        yield str(frame.f_globals.get("__name__")), frame.f_code.co_filename, frame.f_code.co_name
        frame = frame.f_back


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _python_does_it_itself(module: str, filename: str, function: str) -> bool:
    """Byte code cached by an import, and log files opened by `logging`."""
    cached = filename == "<frozen importlib._bootstrap_external>" and function in {"set_data", "_write_atomic"}
    return cached or _within(module, ("logging",))


def _place(frame: FrameType | None) -> str:
    while frame is not None and frame.f_code.co_filename.startswith((*LIBRARIES, "<frozen ")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else "a thread's start"


class _Armed(threading.local):
    guard: Guard | None = None


_armed = _Armed()
_threads: "weakref.WeakKeyDictionary[threading.Thread, Guard]" = weakref.WeakKeyDictionary()
_blocks = 0
_start_thread = threading.Thread.start


def _guard() -> Guard | None:
    return _armed.guard or (_threads.get(threading.current_thread()) if _threads else None)


def _hook(event: str, args: Arguments) -> None:
    if _blocks and (event in FILES or event in OUTSIDE):
        guard = _guard()
        if guard is not None:
            guard.judge(event, args)


def _start(self: threading.Thread) -> None:
    """`Thread.start`: a thread that the job starts is watched as well, one that a provider starts is not."""
    guard = _guard() if _blocks else None
    if guard is not None and not guard.passes(sys._getframe(1)):  # noqa: SLF001 - as above
        _threads[self] = guard
    _start_thread(self)


def _install() -> None:
    """Once, for the life of the interpreter: an audit hook cannot be removed, and Python 3.11 announces no thread."""
    if threading.Thread.start is not _start:
        sys.addaudithook(_hook)
        threading.Thread.start = _start  # type: ignore[method-assign]


@contextmanager
def read_only(context: Context | None = None, *, allow: tuple[str, ...] = ()) -> Iterator[Guard]:
    """Within the block, this thread and the threads it starts may write to `context.scratch` only, and reach outside only
    through `tasks.providers` or the modules named in `allow`.

    Raises `ReadOnlyViolation` at the place, and again at the end of the block if somebody swallowed it.
    """
    global _blocks  # noqa: PLW0603 - the hook is one for the whole interpreter, and must be cheap without a block
    _install()
    scratch = (Path(os.path.realpath(context.scratch)),) if context else ()
    guard, before = Guard((PROVIDERS, *allow), scratch), _armed.guard
    _armed.guard = guard
    _blocks += 1
    try:
        yield guard
    finally:
        _blocks -= 1
        _armed.guard = before
        if guard.refused and sys.exc_info()[1] is not guard.refused[0]:
            raise guard.refused[0]


def run_check(job: Job[P], ctx: Context, params: P | None = None, *, allow: tuple[str, ...] = ()) -> list[Answer]:
    """All answers of `job` in order, with a guard that it only reads; `allow` names the modules of your own providers."""
    with read_only(ctx, allow=allow):
        return list(job.check(ctx, job.params.model_validate({}) if params is None else params))
