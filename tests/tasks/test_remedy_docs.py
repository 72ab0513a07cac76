"""The guide to remedies does what its text says, and the estate's page has every key."""

import tomllib

import pytest

from tasks.certificates import CertificateEntry
from tests.tasks.test_command_docs import DOCS, blocks, module
from worker.policy import Rule


def test_the_remedy_of_the_guide_and_its_test_work_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = blocks("add-a-job.md", "python")[2]
    locks, its_test = blocks("add-a-remedy.md", "python")
    module("acme_doors", doors, monkeypatch)
    module("acme_locks", locks, monkeypatch)
    module("its_test", its_test, monkeypatch).test_an_unlocked_door_is_locked_and_looked_at_again()


def test_the_rule_of_the_guide_is_accepted() -> None:
    (table,) = tomllib.loads(blocks("add-a-remedy.md", "toml")[0])["rule"]
    assert Rule.model_validate(table).approvers == 1


def test_the_estates_page_lists_every_key_of_a_certificate() -> None:
    text = (DOCS / "estate.md").read_text()
    assert [key for key in CertificateEntry.model_fields if f"`{key}`" not in text] == []


def test_the_renewals_of_the_estates_page_are_accepted() -> None:
    (text,) = (text for text in blocks("estate.md", "toml") if "renew_command" in text)
    for table in tomllib.loads(text)["certificates"]:
        entry = CertificateEntry.model_validate(table)
        assert entry.reload_command
        assert entry.certificate_file
