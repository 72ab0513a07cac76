"""The test kit for jobs: a job that reaches outside by itself fails its test."""

import asyncio
import contextlib
import importlib
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tasks.context import Context, Probe
from tasks.errors import Cancelled, ProviderError
from tasks.job import Job, Params
from tasks.model import Answer, Ok
from tasks.testing import CancelSwitch, FakeContext, FakeHistory, FakeLedger, FakeTls, ReadOnlyViolation, read_only, run_check

Effect = Callable[[Path], object]


def write(folder: Path) -> None:
    (folder / "made").write_text("x")


def connect(_: Path) -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", 9))


def bind(_: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))


def fork(_: Path) -> None:
    if os.fork() == 0:
        os._exit(0)


EFFECTS: dict[str, Effect] = {
    "open": write,
    "os.open": lambda folder: os.open(folder / "made", os.O_CREAT | os.O_WRONLY),
    "append": lambda folder: (folder / "kept").open("a"),
    "socket.connect": connect,
    "socket.bind": bind,
    "resolve": lambda _: socket.getaddrinfo("localhost", 80),
    "subprocess.Popen": lambda _: subprocess.run(["true"], check=True),
    "os.system": lambda _: os.system("true"),  # noqa: S605
    "os.fork": fork,
    "os.posix_spawn": lambda _: os.posix_spawn("/bin/true", ["true"], {}),
    "os.exec": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606
    "os.kill": lambda _: os.kill(os.getpid(), 0),
    "os.remove": lambda folder: (folder / "kept").unlink(),
    "os.rename": lambda folder: (folder / "kept").rename(folder / "moved"),
    "os.mkdir": lambda folder: (folder / "new").mkdir(),
    "os.rmdir": lambda folder: (folder / "empty").rmdir(),
    "os.chmod": lambda folder: (folder / "kept").chmod(0o600),
    "os.symlink": lambda folder: (folder / "link").symlink_to("kept"),
    "os.truncate": lambda folder: os.truncate(folder / "kept", 0),
    "touch": lambda folder: (folder / "kept").touch(),
    "shutil.copyfile": lambda folder: shutil.copyfile(folder / "kept", folder / "copy"),
    "shutil.rmtree": shutil.rmtree,
    "shutil.move": lambda folder: shutil.move(folder / "kept", folder / "moved"),
    "tempfile": lambda _: tempfile.mkdtemp(),
    "sqlite3.connect": lambda folder: sqlite3.connect(folder / "new.db"),
    "asyncio": lambda _: asyncio.run(asyncio.open_connection("127.0.0.1", 9)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "empty").mkdir()
    return tmp_path


def job_that(effect: Callable[[Context], object]) -> Job[Params]:
    def check(ctx: Context, params: Params) -> Iterator[Answer]:
        effect(ctx)
        yield Ok(entry="x", subject="x")

    return Job(name="x", summary="x", check=check, params=Params)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", EFFECTS)
def test_a_check_that_reaches_outside_by_itself_is_refused_and_nothing_happened(name: str, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ReadOnlyViolation, match=r"the check reached outside by itself: .*test_testing\.py:\d+ in "):
        run_check(job_that(lambda _: EFFECTS[name](folder)), FakeContext())
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "kept").read_text() == "kept"


def test_a_violation_swallowed_by_the_job_is_reported_at_the_end_of_the_block(folder: Path) -> None:
    def swallow(_: Context) -> None:
        with contextlib.suppress(Exception):
            write(folder)

    with pytest.raises(ReadOnlyViolation, match=r"open '.*/made'"):
        run_check(job_that(swallow), FakeContext())


def test_a_violation_turned_into_another_error_is_still_reported(folder: Path) -> None:
    def translate(_: Context) -> None:
        try:
            write(folder)
        except AssertionError as error:
            raise OSError from error

    with pytest.raises(ReadOnlyViolation):
        run_check(job_that(translate), FakeContext())


def test_a_thread_of_the_job_is_watched_as_well(folder: Path) -> None:
    def in_a_pool(_: Context) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(write, folder).exception()

    with pytest.raises(ReadOnlyViolation):
        run_check(job_that(in_a_pool), FakeContext())
    assert not (folder / "made").exists()


def test_a_thread_that_ran_before_is_not_watched(folder: Path) -> None:
    go, done = threading.Event(), threading.Event()

    def body() -> None:
        go.wait()
        write(folder)
        done.set()

    thread = threading.Thread(target=body)
    thread.start()
    with read_only():
        go.set()
        done.wait()
    thread.join()
    assert (folder / "made").exists()


def in_scratch(ctx: Context) -> None:
    write(ctx.scratch)
    (ctx.scratch / "folder").mkdir()
    shutil.copytree(ctx.scratch / "folder", ctx.scratch / "copy")
    shutil.move(ctx.scratch / "made", ctx.scratch / "copy" / "moved")
    shutil.rmtree(ctx.scratch / "copy")
    sqlite3.connect(ctx.scratch / "new.db").close()
    with tempfile.NamedTemporaryFile(dir=ctx.scratch):
        pass


def test_a_check_may_write_in_its_scratch_folder() -> None:
    ctx = FakeContext()
    assert run_check(job_that(in_scratch), ctx) == [Ok(entry="x", subject="x")]
    assert sorted(path.name for path in ctx.scratch.iterdir()) == ["folder", "new.db"]


def test_a_link_out_of_scratch_does_not_help(folder: Path) -> None:
    ctx = FakeContext()
    (ctx.scratch / "out").symlink_to(folder)
    with pytest.raises(ReadOnlyViolation):
        run_check(job_that(lambda _: write(ctx.scratch / "out")), ctx)


def reading(folder: Path) -> Callable[[Context], None]:
    def read(_: Context) -> None:
        (folder / "kept").read_text()
        list(folder.iterdir())
        Path(os.devnull).write_text("gone")
        sqlite3.connect(":memory:").close()
        asyncio.run(asyncio.sleep(0))

    return read


def test_reading_is_allowed(folder: Path) -> None:
    assert run_check(job_that(reading(folder)), FakeContext())


def test_an_import_may_cache_its_byte_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "freshly_written.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert run_check(job_that(lambda _: importlib.import_module("freshly_written")), FakeContext())
    assert list((folder / "__pycache__").iterdir())


def test_logging_may_open_its_file(folder: Path) -> None:
    to_file = logging.FileHandler(folder / "job.log", delay=True)
    logger = logging.getLogger("a job's own")
    logger.addHandler(to_file)
    assert run_check(job_that(lambda _: logger.error("odd")), FakeContext())
    to_file.close()


def provider(name: str) -> ModuleType:
    """A module that writes for its caller, before it calls back."""
    module = ModuleType(name)
    exec("def run(path, back=lambda: None):\n    path.write_text('x')\n    back()\n", module.__dict__)  # noqa: S102
    return module


def test_a_provider_may_write(folder: Path) -> None:
    assert run_check(job_that(lambda _: provider("tasks.providers.x").run(folder / "made")), FakeContext())
    assert (folder / "made").exists()


def test_a_module_named_in_allow_is_a_provider(folder: Path) -> None:
    job = job_that(lambda _: provider("acme.cloud").run(folder / "made"))
    with pytest.raises(ReadOnlyViolation):
        run_check(job, FakeContext(), allow=("acme.clouds",))
    assert run_check(job, FakeContext(), allow=("acme",))


def test_a_callback_of_the_job_inside_a_provider_is_still_the_job(folder: Path) -> None:
    call = provider("tasks.providers.x").run
    with pytest.raises(ReadOnlyViolation, match=r"made'"):
        run_check(job_that(lambda _: call(folder / "by_provider", lambda: write(folder))), FakeContext())


def test_history_becomes_visible_with_the_outcome_and_keeps_no_version_twice() -> None:
    history = FakeHistory()
    history.record("www", "serial", "01")
    assert history.latest("www", "serial") is None
    history.commit()
    history.record("www", "serial", "01")
    history.record("www", "serial", "02")
    history.commit()
    assert [(fact.version, fact.value) for fact in history.versions("www", "serial")] == [(2, "02"), (1, "01")]


def test_what_a_job_does_with_its_context_can_be_read_afterwards() -> None:
    ctx = FakeContext(ledger=FakeLedger(run_rows=[{"job": "x"}, {"job": "y"}], approval_rows=[{"state": "pending"}]))

    def use(ctx: Context) -> None:
        ctx.log.warning("odd", count=1)
        ctx.progress(1, 2, "half")
        ctx.artifacts.put("key.pem", b"k", secret=True)

    run_check(job_that(use), ctx)
    ctx.clock.advance(timedelta(hours=1))
    assert (ctx.log.events, ctx.progress.reports) == ([("warning", "odd", {"count": 1})], [(1, 2, "half")])
    assert (ctx.artifacts.kept, ctx.artifacts.secret) == ({"key.pem": b"k"}, {"key.pem"})
    assert (ctx.ledger.runs(job="y"), ctx.ledger.approvals(state="denied")) == ([{"job": "y"}], [])
    assert ctx.clock() - FakeContext().clock() == timedelta(hours=1)


def test_an_artifact_past_its_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="artifact big: 16777217 bytes, at most 16777216"):
        FakeContext().artifacts.put("big", bytes(16777217))


def test_the_cancel_switch_turned_on_stops_a_job() -> None:
    ctx = FakeContext()
    ctx.checkpoint()
    ctx.cancelled.cancel()
    with pytest.raises(Cancelled):
        ctx.checkpoint()


def test_the_cancel_switch_stops_a_job_at_its_boundary() -> None:
    ctx = FakeContext(cancelled=CancelSwitch(after=1))
    ctx.checkpoint()
    with pytest.raises(Cancelled):
        ctx.checkpoint()


def test_a_host_without_a_script_does_not_resolve_and_an_address_without_one_refuses() -> None:
    tls = FakeTls(addresses={"www.example.com": ["192.0.2.7"]})
    with pytest.raises(ProviderError, match="nowhere: no such host"):
        tls.resolve("nowhere", timedelta(1))
    probe = Probe(address="192.0.2.7", port=443, server_name=None, timeout=timedelta(1))
    [(_, failure)] = tls.handshakes([probe])
    assert (tls.probed, getattr(failure, "reason", "")) == ([probe], "connect_refused")
