"""The provider that runs programs: bounded, and nothing left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tasks.context import Command, CommandResult
from tasks.errors import ProviderError
from tasks.providers.process import LocalCommands
from tests.support.chaos_worker import gone
from tests.support.waiting import until

COMMANDS = LocalCommands(grace=timedelta(seconds=0.3))
LONG = timedelta(seconds=60)
STARTED = timedelta(seconds=2)
"""By then a program has begun, on a slow machine too."""


def command(*argv: str) -> Command:
    return Command(
        argv=argv, cwd=None, environment={"PATH": "/usr/bin:/bin"}, stdin=b"", timeout=LONG,
        output_limit_bytes=1 << 20, memory_limit_bytes=None,
    )  # fmt: skip


def python(code: str, *argv: str) -> Command:
    return command(sys.executable, "-I", "-c", textwrap.dedent(code), *argv)


def shell(line: str) -> Command:
    return command("sh", "-c", line)


def ended(result: CommandResult) -> tuple[str, int | None, int | None]:
    return result.ended_by, result.exit_code, result.signal


def number_in(path: Path) -> int:
    until(f"there is a whole line in {path.name}", lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_a_program_gives_its_exit_code_and_both_outputs() -> None:
    result = COMMANDS.run(shell("echo out; echo err >&2; exit 3"))
    assert (ended(result), result.stdout, result.stderr) == (("itself", 3, None), b"out\n", b"err\n")


def test_a_program_gets_exactly_the_environment_given() -> None:
    result = COMMANDS.run(replace(command("/usr/bin/env"), environment={"ONLY": "this\nand that é"}))
    assert result.stdout == "ONLY=this\nand that é\n".encode()


def test_arguments_pass_without_a_shell() -> None:
    assert COMMANDS.run(command("/bin/echo", "$HOME; ls `id` *")).stdout == b"$HOME; ls `id` *\n"


def test_stdin_is_fed_and_closed_and_full_pipes_do_not_lock() -> None:
    content = os.urandom(600_000)
    assert COMMANDS.run(replace(command("cat"), stdin=content)).stdout == content


def test_a_program_that_does_not_read_its_stdin_is_no_failure() -> None:
    assert ended(COMMANDS.run(replace(command("true"), stdin=b"x" * 600_000))) == ("itself", 0, None)


def test_a_program_without_stdin_reads_its_end_at_once() -> None:
    assert ended(COMMANDS.run(command("cat"))) == ("itself", 0, None)


def test_a_program_runs_in_its_folder_and_in_a_session_of_its_own(tmp_path: Path) -> None:
    result = COMMANDS.run(replace(python("import os; print(os.getcwd(), os.getsid(0) == os.getpid())"), cwd=tmp_path))
    assert result.stdout.decode().split() == [str(tmp_path.resolve()), "True"]


def test_a_program_is_handed_no_stream_but_the_three() -> None:
    result = COMMANDS.run(python("import os; print(sorted(os.listdir('/proc/self/fd')))"))
    assert result.stdout == b"['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_core_files_and_open_files_are_limited() -> None:
    result = COMMANDS.run(
        python("import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NOFILE)[0] <= 4096)")
    )
    assert result.stdout == b"(0, 0) True\n"


def test_memory_is_limited() -> None:
    hungry = replace(python("bytearray(1 << 30)"), memory_limit_bytes=256 << 20)
    result = COMMANDS.run(hungry)
    assert (ended(result), b"MemoryError" in result.stderr) == (("itself", 1, None), True)


def test_a_signal_is_told_from_an_exit_code() -> None:
    assert ended(COMMANDS.run(shell("kill -SEGV $$"))) == ("signal", None, signal.SIGSEGV)


def test_a_broken_pipe_ends_a_program_as_it_would_in_a_shell() -> None:
    assert ended(COMMANDS.run(shell("kill -PIPE $$; echo still here"))) == ("signal", None, signal.SIGPIPE)


def test_a_time_out_terminates_and_keeps_what_was_said() -> None:
    patient = LocalCommands(grace=LONG)
    result = patient.run(replace(shell("trap 'echo bye; exit 0' TERM; echo hello; sleep 60 & wait"), timeout=STARTED))
    assert (ended(result), result.stdout) == (("timeout", None, None), b"hello\nbye\n")


def test_a_program_that_ignores_termination_is_killed() -> None:
    result = COMMANDS.run(replace(shell("trap '' TERM; while :; do sleep 1; done"), timeout=STARTED))
    assert ended(result) == ("timeout", None, signal.SIGKILL)


def test_a_time_out_of_nothing_is_a_time_out() -> None:
    assert COMMANDS.run(replace(command("sleep", "60"), timeout=timedelta(0))).ended_by == "timeout"


def test_a_flood_is_cut_at_its_limit() -> None:
    result = COMMANDS.run(replace(command("yes"), output_limit_bytes=100_000))
    assert (result.ended_by, result.exit_code, len(result.stdout) + len(result.stderr)) == ("output_limit", None, 100_000)


def test_output_of_exactly_the_limit_is_no_flood() -> None:
    result = COMMANDS.run(replace(command("head", "-c", "100000", "/dev/zero"), output_limit_bytes=100_000))
    assert (ended(result), len(result.stdout)) == (("itself", 0, None), 100_000)


def test_a_cancel_ends_the_program() -> None:
    switch = threading.Event()
    threading.Timer(0.3, switch.set).start()
    assert COMMANDS.run(command("sleep", "60"), cancelled=switch.is_set).ended_by == "cancelled"


def test_an_error_while_waiting_ends_the_program(tmp_path: Path) -> None:
    def interrupted() -> bool:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        COMMANDS.run(shell(f"echo $$ > {tmp_path}/pid; sleep 60"), cancelled=interrupted)
    assert gone(number_in(tmp_path / "pid"))


DAEMON = """
    import os, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            {closing}
            open(sys.argv[1], "w").write(f"{{os.getpid()}}\\n")
            time.sleep(60)
        os._exit(0)
    while not os.path.exists(sys.argv[1]): time.sleep(0.01)
    {then}
"""


@pytest.mark.parametrize("closing", ["pass", "os.closerange(0, 3)"], ids=["holding its output", "without a stream"])
@pytest.mark.parametrize("then", ["pass", "time.sleep(60)"], ids=["left behind", "at a time-out"])
def test_a_daemon_in_a_session_of_its_own_is_ended(closing: str, then: str, tmp_path: Path) -> None:
    daemon = python(DAEMON.format(closing=closing, then=then), str(tmp_path / "pid"))
    result = COMMANDS.run(replace(daemon, timeout=2 * STARTED) if "sleep" in then else daemon)
    assert gone(number_in(tmp_path / "pid"))
    assert result.ended_by == ("timeout" if "sleep" in then else "itself")


RUNNER = """
    import sys
    from datetime import timedelta
    from tasks.context import Command
    from tasks.providers.process import LocalCommands
    LocalCommands().run(Command(argv=("sh", "-c", sys.argv[1]), cwd=None, environment={"PATH": "/usr/bin:/bin"}, stdin=b"",
        timeout=timedelta(minutes=5), output_limit_bytes=1000, memory_limit_bytes=None))
"""


@pytest.mark.parametrize("whom", ["worker", "keeper"])
def test_killing_the_worker_or_the_keeper_leaves_nothing_running(whom: str, tmp_path: Path) -> None:
    line = f"setsid sleep 70 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/program; wait"
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(RUNNER), line], cwd=root, stderr=subprocess.DEVNULL) as worker:
        pids = [number_in(tmp_path / "program"), number_in(tmp_path / "child")]
        keeper = psutil.Process(pids[0]).parent()
        assert keeper is not None
        os.kill(worker.pid if whom == "worker" else keeper.pid, signal.SIGKILL)
        watched = [keeper.pid, *pids] if whom == "worker" else pids[:1]
        try:
            until("nothing runs", lambda: all(map(gone, watched)))
        finally:
            if not gone(pids[1]):  # the keeper is dead: the child that left the session is out of everybody's reach
                os.kill(pids[1], signal.SIGKILL)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (command("/no/such/program"), "cannot start '/no/such/program': /no/such/program: No such file or directory"),
        (command("/etc/passwd"), "cannot start '/etc/passwd': /etc/passwd: Permission denied"),
        (
            command("no-such-program"),
            "cannot start 'no-such-program': not an absolute path, and not found on the command's own PATH",
        ),
        (replace(command("true"), environment={}), "not found on the command's own PATH None"),
        (command("./true"), "cannot start './true': not an absolute path"),
        (
            replace(command("true"), cwd=Path("/no/such/folder")),
            "cannot start 'true': /no/such/folder: No such file or directory",
        ),
    ],
)
def test_a_program_that_cannot_be_started_says_why(wrong: Command, says: str) -> None:
    with pytest.raises(ProviderError) as refusal:
        COMMANDS.run(wrong)
    assert (refusal.value.stage, says in str(refusal.value)) == ("start", True)


HOSTILE = """
    import signal
    from tests.tasks.test_process import COMMANDS, command
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    print(COMMANDS.run(command("grep", "^Sig[BI]", "/proc/self/status")).stdout.decode())
"""


def test_a_worker_that_blocks_and_ignores_signals_hands_none_of_that_on() -> None:
    argv = [sys.executable, "-c", textwrap.dedent(HOSTILE)]
    said = subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, check=True).stdout
    assert said.split() == [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16]


def test_nothing_is_left_open_and_no_zombie() -> None:
    me = psutil.Process()
    COMMANDS.run(command("true"))
    before, children = me.num_fds(), set(me.children())
    for wrong in (command("true"), command("/no/such/program"), replace(command("yes"), output_limit_bytes=10)):
        try:
            COMMANDS.run(wrong)
        except ProviderError:
            continue
    assert (me.num_fds(), set(me.children()) - children) == (before, set())


def test_programs_run_side_by_side_in_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda number: COMMANDS.run(command("echo", str(number))).stdout, range(24))
        assert list(results) == [f"{number}\n".encode() for number in range(24)]
