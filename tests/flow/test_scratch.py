"""The scratch folder of an attempt: its own, gone after it, and what killed attempts left goes with the next."""

import os
from pathlib import Path

import pytest

from worker.flow.scratch import FORGOTTEN_AFTER, NoScratch, Scratch


def left(root: Path, name: str, *, old: bool = False) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text("may hold a secret")
    if old:
        then = folder.stat().st_mtime - FORGOTTEN_AFTER.total_seconds() - 60
        os.utime(folder, (then, then))
    return folder


def test_what_a_killed_attempt_left_goes_when_the_run_is_tried_again(tmp_path: Path) -> None:
    killed, others = left(tmp_path, "run-a-1"), left(tmp_path, "run-b-1")
    scratch = Scratch(tmp_path, "run-a", 2)
    assert (scratch().exists(), killed.exists(), others.exists()) == (True, False, True)
    scratch.remove()
    assert list(tmp_path.iterdir()) == [others]


def test_what_nobody_tries_again_goes_after_a_day(tmp_path: Path) -> None:
    forgotten, young = left(tmp_path, "run-b-7", old=True), left(tmp_path, "run-c-1")
    Scratch(tmp_path, "run-a", 1)()
    assert (forgotten.exists(), young.exists()) == (False, True)


def test_a_later_attempt_is_left_alone_by_one_whose_time_is_over(tmp_path: Path) -> None:
    later = left(tmp_path, "run-a-3", old=True)
    Scratch(tmp_path, "run-a", 2)()
    assert later.exists()


def test_a_folder_is_the_attempts_alone(tmp_path: Path) -> None:
    assert Scratch(tmp_path, "run-a", 1)().stat().st_mode & 0o777 == 0o700


def test_no_folder_is_made_for_a_job_that_asks_for_none(tmp_path: Path) -> None:
    Scratch(tmp_path, "run-a", 1).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoScratch, match="scratch folder"):
        Scratch(tmp_path / "file", "run-a", 1)()
