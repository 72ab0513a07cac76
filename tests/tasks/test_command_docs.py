"""The examples of the two guides do what their text says."""

import re
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tasks.command import JOB, CommandEntry
from tasks.load import load_jobs
from tasks.model import CannotTell, Finding, Ok
from tasks.providers.process import LocalCommands
from tasks.testing import FakeClock, FakeContext, run_check

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def blocks(guide: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / guide).read_text(), re.DOTALL)


def module(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(text, f"{name}.py", "exec"), made.__dict__)  # noqa: S102 - our own guide
    return made


def test_the_smallest_job_and_its_test_work_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    smallest, its_test, *_ = blocks("add-a-job.md", "python")
    made = module("acme_checks", smallest, monkeypatch)
    made.__dict__["newest_backup"] = lambda: NOW
    job = load_jobs({}, ["acme_checks:JOB"])["backup_age"]
    assert run_check(job, FakeContext(clock=FakeClock(NOW))) == [Ok(entry="backup_age", subject="backup_age")]
    [finding] = run_check(job, FakeContext(clock=FakeClock(NOW + timedelta(hours=30))))
    assert getattr(finding, "title", "") == "The newest backup is 30 hours old"
    made.__dict__["newest_backup"] = lambda: FakeClock().now
    module("its_test", its_test, monkeypatch).test_a_fresh_backup_is_ok()


def test_the_job_over_many_things_and_its_test_work_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, doors, its_test, bounded = blocks("add-a-job.md", "python")
    made = module("acme_doors", doors, monkeypatch)
    module("its_test", its_test, monkeypatch).test_a_locked_door_is_ok()
    estate = next(tomllib.loads(text) for text in blocks("add-a-job.md", "toml") if "[[doors]]" in text)
    assert made.__dict__["DoorEntry"].model_validate(estate["doors"][0]).labels == {"floor": "0"}
    limited = module("acme_bounded", f"{doors}\nfrom tasks.context import Load\n\n{bounded}", monkeypatch).__dict__["DoorEntry"]
    assert limited(name="front", account="north").load().account == "north"


def test_the_entry_of_the_guide_is_accepted() -> None:
    table = tomllib.loads(blocks("add-a-script.md", "toml")[0])["command"][0]
    assert CommandEntry.model_validate(table).argv == ("/usr/local/bin/check-disks", "--all")


def test_the_guide_lists_every_key_of_an_entry_and_its_default() -> None:
    text = (DOCS / "add-a-script.md").read_text()
    assert [key for key in CommandEntry.model_fields if f"`{key}`" not in text] == []


def test_the_script_of_the_guide_speaks_the_protocol() -> None:
    entry = CommandEntry(name="disk-space", argv=("/bin/sh", "-c", blocks("add-a-script.md", "sh")[1]))
    found = run_check(JOB, FakeContext(selected=[entry], commands=LocalCommands()))
    assert found
    assert not [answer for answer in found if isinstance(answer, CannotTell)]


def test_the_script_of_the_guide_reports_a_full_disk(tmp_path: Path) -> None:
    full = "#!/bin/sh\necho Filesystem\necho '/dev/sda1 100 96 4 96% /var'\n"
    (tmp_path / "df").write_text(full)
    (tmp_path / "df").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    entry = CommandEntry(name="disk-space", argv=("sh", "-c", blocks("add-a-script.md", "sh")[1]), env=env)
    [finding] = run_check(JOB, FakeContext(selected=[entry], commands=LocalCommands()))
    assert isinstance(finding, Finding)
    assert (finding.key, finding.title, finding.evidence) == ("/var", "/var is 96% full", {"free_kb": 4})
