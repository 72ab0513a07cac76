"""Loading of jobs, providers and channels that others wrote."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import JOBS
from tasks.errors import LoadError
from tasks.load import load_jobs, load_named, load_object, refuse_shadowing

ROOT = Path(__file__).parents[2]
GOOD = """
from datetime import timedelta
from tasks.job import Job, Params, job

def check(ctx, params):
    return ()

JOB = Job(name="{name}", summary="s", check=check, params=Params)
SAME = JOB
TWIN = Job(name="{name}", summary="s", check=check, params=Params)
SHOUTING = Job(name="Not-Snake", summary="s", check=check, params=Params)
NEVER = Job(name="never", summary="s", check=check, params=Params, entries_per_run=0)
TIMELESS = Job(name="timeless", summary="s", check=check, params=Params, time_limit=timedelta(0))
LOOSE = Job(name="loose", summary="s", check=check, params=dict)

@job(name="decorated", summary="s")
def decorated(ctx):
    return ()
"""
Write = Callable[[str, str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes an importable module of that name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> str:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture
def offer(tmp_path: Path) -> Callable[[str, str], None]:
    """Installs a package that offers one thing by entry point."""

    def install(group: str, line: str) -> None:
        folder = tmp_path / "acme_jobs-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-jobs\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[{group}]\n{line}\n")

    return install


def test_every_job_that_ships_loads() -> None:
    assert list(load_jobs(JOBS, [])) == list(JOBS)


def test_a_job_is_found_by_its_dotted_path(module: Write) -> None:
    name = module("acme_dotted", GOOD.format(name="backup_age"))
    assert list(load_jobs({}, [f"{name}:JOB", f"{name}:SAME", f"{name}:decorated"])) == ["backup_age", "decorated"]


def test_a_job_is_found_by_its_entry_point(module: Write, offer: Callable[[str, str], None]) -> None:
    module("acme_offered", GOOD.format(name="backup_age"))
    offer("nightshift.jobs", "backup_age = acme_offered:JOB")
    assert list(load_jobs({}, [])) == ["backup_age"]


def test_channels_and_providers_are_found_the_same_way(module: Write, offer: Callable[[str, str], None]) -> None:
    module("acme_channel", "class Pager: ...\nclass Gong: ...\n")
    offer("nightshift.channels", "pager = acme_channel:Pager")
    found = load_named("nightshift.channels", {}, {"gong": "acme_channel:Gong"})
    assert {name: getattr(value, "__name__", "") for name, value in found.items()} == {"pager": "Pager", "gong": "Gong"}
    with pytest.raises(
        LoadError, match=r"two are called 'pager': acme_channel:Pager \(entry point nightshift.channels of acme-jobs 1.2\)"
    ):
        load_named("nightshift.channels", {}, {"pager": "acme_channel:Gong"})


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("check", r"acme_wrong:check \(the settings\): expected a Job, got function; see docs/add-a-job.md"),
        ("SHOUTING", "job name 'Not-Snake': expected snake_case"),
        ("NEVER", "job never: entries_per_run and time_limit must be positive"),
        ("TIMELESS", "job timeless: entries_per_run and time_limit must be positive"),
        ("LOOSE", "job loose: params dict is not a subclass of tasks.job.Params"),
        ("JOBS", "acme_wrong:JOBS: acme_wrong has no JOBS; did you mean JOB?"),
    ],
)
def test_what_is_not_a_proper_job_is_refused(module: Write, attribute: str, says: str) -> None:
    module("acme_wrong", GOOD.format(name="backup_age"))
    with pytest.raises(LoadError, match=says):
        load_jobs({}, [f"acme_wrong:{attribute}"])


def test_a_name_that_is_taken_is_refused_and_both_are_named(module: Write) -> None:
    module("acme_twin", GOOD.format(name="command"))
    with pytest.raises(LoadError, match=r"two are called 'command': tasks.command:JOB \(Nightshift itself\) and acme_twin:JOB"):
        load_jobs({"command": "tasks.command:JOB"}, ["acme_twin:JOB"])
    with pytest.raises(LoadError, match="two are called"):
        load_jobs({}, ["acme_twin:JOB", "acme_twin:TWIN"])


def test_a_job_listed_under_another_name_is_refused(module: Write, offer: Callable[[str, str], None]) -> None:
    module("acme_other", GOOD.format(name="backup_age"))
    offer("nightshift.jobs", "backups = acme_other:JOB")
    with pytest.raises(LoadError, match="listed as 'backups', but the job calls itself 'backup_age'"):
        load_jobs({}, [])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_does_not_import_is_named_with_the_cause(module: Write, text: str, cause: str) -> None:
    module("acme_broken", text)
    with pytest.raises(LoadError, match=f"acme_broken:JOB: importing acme_broken failed: {cause}"):
        load_object("acme_broken:JOB")


@pytest.mark.parametrize("path", ["acme", "acme.checks.JOB", ":JOB", "acme:", "a b:c", "../acme:JOB"])
def test_a_path_of_another_shape_is_refused(path: str) -> None:
    with pytest.raises(LoadError, match=r"expected `module:attribute`, for example `acme.checks:JOB`"):
        load_object(path)


def test_our_own_packages_are_ours() -> None:
    refuse_shadowing()


def shadowing(folder: Path) -> str:
    """What a process says whose path has `folder` first; our own `tasks` is imported already, as at start."""
    code = f"""if True:
        import sys, tasks.load
        sys.path.insert(0, {str(folder)!r})
        try: tasks.load.refuse_shadowing()
        except tasks.load.LoadError as error: print(error)
    """
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("file", ["worker.py", "schedules.py", "notifications/__init__.py"])
def test_a_module_that_shadows_one_of_our_packages_is_refused_by_its_path(file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("raise SystemExit('never imported')\n")
    package = file.partition("/")[0].removesuffix(".py")
    assert f"{tmp_path / file} shadows Nightshift's own package {package} in {ROOT}: rename it" in shadowing(tmp_path)


def test_nothing_in_the_way_is_fine(tmp_path: Path) -> None:
    assert shadowing(tmp_path) == ""


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(LoadError, match="package not_ours is missing from"):
        refuse_shadowing(["tasks", "not_ours"])
