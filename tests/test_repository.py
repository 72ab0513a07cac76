"""The repository keeps the promises that no single file can."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")
# Homes and work folders of whoever wrote a file; none of them exists where it is read.
MACHINE_PATH = re.compile(r"(?<![\w.~}-])/(?:home|root|Users|work)/[\w.-]+")
BINARY = {".png", ".ico", ".der", ".p12", ".db"}


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def dependencies() -> set[str]:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups += PROJECT["dependency-groups"].values()
    return {Requirement(line).name.lower() for group in groups for line in group}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_file_is_pinned_and_hashed(lock: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text().strip())
    assert [block.splitlines()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []


def test_every_dependency_is_locked() -> None:
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE))
    assert sorted(dependencies() - {name.lower() for name in locked}) == []


def test_every_dependency_has_a_line_with_its_reason() -> None:
    told = set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE))
    assert told == dependencies()


def test_every_workflow_has_a_row_in_its_readme() -> None:
    folder = ROOT / "n8n_workflows"
    told = re.findall(r"^\| `([^`]+\.json)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(path.name for path in folder.glob("*.json"))


def test_every_workflow_is_json() -> None:
    for path in (ROOT / "n8n_workflows").glob("*.json"):
        assert isinstance(json.loads(path.read_text()), dict), path.name


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    texts = {path: path.read_text(errors="replace") for path in tracked_files() if path.suffix not in BINARY}
    found = [f"{path.relative_to(ROOT)}: {match}" for path, text in texts.items() for match in MACHINE_PATH.findall(text)]
    assert found == []


def test_the_newest_changelog_entry_tells_the_version_of_the_package() -> None:
    newest = re.search(r"^## (\S+) — .+$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["project"]["version"]


def test_every_release_but_perhaps_the_newest_names_its_commit() -> None:
    # A commit cannot name itself: the newest release's line is written by the commit after it.
    versions = re.findall(r"^## (\S+) — ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    lines = [line for line in (ROOT / "docs/releases").read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"\S+  [0-9a-f]{40}  \d{4}-\d\d-\d\d", line)] == []
    assert [line.split()[0] for line in reversed(lines)] in (versions, versions[1:])


def test_every_decision_has_its_four_parts_and_its_number_once() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    headings = ["## Context", "## Decision", "## Consequence", "## What we did not choose"]
    for path in decisions:
        assert re.findall(r"^## .+$", path.read_text(), re.MULTILINE) == headings, path.name
    numbers = [path.name[:4] for path in decisions]
    assert numbers == [f"{number:04}" for number in range(len(decisions))]


def test_every_relative_link_of_the_documentation_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "n8n_workflows").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]
    assert [f"{page.relative_to(ROOT)}: {link}" for page, link in links if not (page.parent / link).exists()] == []
