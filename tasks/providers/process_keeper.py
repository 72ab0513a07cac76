"""Runs one program and leaves none of its processes behind, even when whoever asked dies. Started by `process.py`, as a
script of its own (`python -I -S process_keeper.py FD`); imports the standard library only, and little of it.

`FD` is one end of a socket pair. In: one JSON line (argv, cwd, environment, memory_limit_bytes, outlives), then `T` (terminate),
`I` (interrupt the program alone) or `K` (kill); its end means that the other side is dead, which is a `K`. Out: one JSON line,
`{"wait_status": N}` or `{"errno": N, "what": …}`, and the end of the stream once no process is left.

A program that `outlives` the other side goes on to its end: the keeper then reads what it says (`drains`: a full or a broken
pipe would end it) and minds its time-out. Nobody is left to hear how it ended.

On Linux the keeper is a child subreaper (prctl(2)), so that a process which left the session or lost its parent becomes the
keeper's child, and the program itself dies with the keeper (PR_SET_PDEATHSIG). Elsewhere only the program's process group
is ended: a process that left it may stay.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
OPEN_FILES = 4096
GIVE_UP_AFTER_SECONDS = 10.0
"""A process in an uninterruptible sleep, or of another user, cannot be ended: then the keeper ends without it."""


def main() -> None:
    """Run what the other side asks for, and report how it ended."""
    peer = int(sys.argv[1])
    os.set_inheritable(peer, False)  # noqa: FBT003 - positional only
    line, early = read_line(peer)
    if not line:  # the other side thought better of it, or is dead
        return
    spec = json.loads(line)
    alone = Alone(spec["outlives"]) if spec["outlives"] else None
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a worker may block signals, and both fork and exec keep that
    program, failure = start(spec)
    if failure is not None:
        os.waitpid(program, 0)
        _say(peer, failure)
        return
    for stream in range(3):  # only the program may hold them, else their readers never see the end
        os.close(stream)
    status = end_all(program, watch(program, peer, wake, early, alone))
    _say(peer, {"wait_status": status})


def start(spec: dict[str, object]) -> tuple[int, dict[str, object] | None]:
    """Fork and exec; the second value says why it did not come about."""
    read, write = os.pipe()
    keeper = os.getpid()
    program = os.fork()  # this process has one thread, so whatever the child does before exec is safe
    if program == 0:
        become(spec, keeper, write)
    os.close(write)
    failure, _ = read_line(read)
    os.close(read)
    return program, json.loads(failure) if failure else None


def become(spec: dict[str, object], keeper: int, failures: int) -> None:
    """In the child: take on limits, folder and environment, then become the program. Does not return."""
    what = "cwd"
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE, a worker SIGINT, and exec keeps that
        _limit(spec["memory_limit_bytes"])
        if spec["cwd"] is not None:
            os.chdir(str(spec["cwd"]))
        what = "program"
        argv, environment = spec["argv"], spec["environment"]
        os.execve(argv[0], argv, environment)  # type: ignore[index, arg-type]  # noqa: S606 - never a shell
    except BaseException as error:  # noqa: BLE001 - the child must never return into the keeper's code
        _say(failures, {"errno": getattr(error, "errno", None) or 0, "what": what})
    finally:
        os._exit(127)


def _limit(memory_bytes: object) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if isinstance(memory_bytes, int):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


class Alone:
    """What the other side minds as long as it lives: the time-out, and what the program says."""

    def __init__(self, spec: dict[str, object]) -> None:
        self.drains = [int(str(stream)) for stream in spec["drains"]]  # type: ignore[attr-defined]
        self.ends_at = time.monotonic() + float(str(spec["timeout_seconds"]))
        self.grace_seconds = float(str(spec["grace_seconds"]))
        self.began = False
        for stream in self.drains:
            os.set_inheritable(stream, False)  # noqa: FBT003 - positional only
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # whoever stops the worker's whole group does not mean the program

    def begin(self, poll: "select.poll") -> None:
        """The other side is dead."""
        self.began = True
        for stream in self.drains:
            poll.register(stream, select.POLLIN)

    def pause_ms(self) -> float | None:
        return max(0.0, self.ends_at - time.monotonic()) * 1000 if self.began else None

    def overdue(self, program: int) -> bool:
        """Past its time the program is told to end; True once its grace is over, too."""
        if not self.began or time.monotonic() < self.ends_at:
            return False
        if self.grace_seconds <= 0:
            return True
        _signal_group(program, signal.SIGTERM)
        self.ends_at, self.grace_seconds = time.monotonic() + self.grace_seconds, 0.0
        return False


def watch(program: int, peer: int, wake: int, orders: bytes, alone: Alone | None) -> int | None:
    """Until the program ended by itself (its wait status), or must be killed (None). `orders` are those already read."""
    poll = select.poll()
    poll.register(peer, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while b"K" not in orders and not (alone and alone.overdue(program)):
        _pass_on(orders, program)
        orders = b""
        for ready, _ in poll.poll(alone.pause_ms() if alone else None):
            if ready == wake:
                os.read(wake, 512)
                status, _ = reap(program)
                if status is not None:
                    return status
            elif ready != peer:
                if not os.read(ready, 1 << 16):
                    poll.unregister(ready)
            elif not (orders := os.read(peer, 16)):
                if alone is None:
                    return None
                poll.unregister(peer)
                alone.begin(poll)
    return None


def _pass_on(orders: bytes, program: int) -> None:
    if b"I" in orders:
        os.kill(program, signal.SIGINT)  # not reaped yet, so the number is still its own
    elif orders:
        _signal_group(program, signal.SIGTERM)


def reap(program: int) -> tuple[int | None, bool]:
    """Collect every child that has ended: the wait status of the program if it is among them, and whether a child is left."""
    found = None
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return found, True
            if pid == program:
                found = status
    except ChildProcessError:
        return found, False


def end_all(program: int, status: int | None) -> int:
    """Kill until no child is left: whoever loses its parent by that becomes our child, and is next."""
    give_up = time.monotonic() + GIVE_UP_AFTER_SECONDS
    _signal_group(program, signal.SIGKILL)
    while time.monotonic() < give_up:
        for child in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        ended, left = reap(program)
        status = ended if status is None else status
        if not left:
            break
        time.sleep(0.002)
    return signal.SIGKILL if status is None else status


def children() -> list[int]:
    """Our own children; none where there is no such file."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as listing:  # noqa: PTH123 - pathlib loads slowly
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return []


def read_line(stream: int) -> tuple[bytes, bytes]:
    """One line without its end, or what there is if the stream ends first; and what was read past it."""
    read = b""
    while b"\n" not in read:
        piece = os.read(stream, 1 << 20)
        if not piece:
            break
        read += piece
    line, _, rest = read.partition(b"\n")
    return line, rest


def _signal_group(program: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program, number)


def _say(stream: int, words: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(stream, json.dumps(words).encode() + b"\n")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - 5 ms that other systems need not pay

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
