"""`[accounts.NAME]` of estate.toml: declared, bounded, and named by entries."""

from pathlib import Path

import pytest

from tests.configuration.conftest import BERLIN
from tests.support.fleet_job import JOB
from worker.configuration import Configuration, ConfigurationError, check
from worker.wiring import estate_of

MEMBER = '[[fleet]]\nname = "m"\naccount = "prod"\n'
PROD = "[accounts.prod]\nat_once = 4\n"


def checked(folder: Path, estate: str) -> Configuration:
    (folder / "estate.toml").write_text(estate)
    return check(folder, {"fleet": JOB}, BERLIN)


def test_an_account_says_how_many_runs_may_look_at_it(folder: Path) -> None:
    found = checked(folder, PROD + MEMBER)
    assert estate_of(found, 1, {"fleet": JOB}).accounts == {"prod": 4}
    assert Configuration.model_validate(found.content) == found


@pytest.mark.parametrize(
    ("estate", "told"),
    [
        (MEMBER, "no such account"),
        (PROD + MEMBER.replace('"prod"', '"prot"'), "did you mean prod?"),
        (PROD.replace("4", "0"), "accounts.prod.at_once"),
        ("[accounts.prod]\n", "accounts.prod.at_once"),
        (PROD + 'per_minute = "x"\n', "accounts.prod.per_minute"),
        ("accounts = 3\n", "accepted: tables headed [accounts.NAME]"),
    ],
)
def test_an_account_that_cannot_be_right_is_refused_with_its_place(folder: Path, estate: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked(folder, estate)
    assert any(told in str(problem) for problem in refused.value.problems)


def test_a_configuration_without_accounts_reads_as_before_there_were_any(folder: Path) -> None:
    assert "accounts" not in checked(folder, '[[fleet]]\nname = "m"\n').content
