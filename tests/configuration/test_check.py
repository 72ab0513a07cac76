from collections.abc import Callable
from pathlib import Path

import pytest

from schedules.schedule import Selector
from tasks.command import JOB as COMMAND
from tests.configuration.conftest import BERLIN, JOBS, LONER, WHOLE_ESTATE
from worker.configuration import Configuration, ConfigurationError, check
from worker.tokens import allows, hash_pin

Checked = Callable[..., Configuration]
Refused = Callable[..., list[str]]


def test_a_folder_without_files_is_a_configuration_that_watches_nothing(checked: Checked) -> None:
    configuration = checked()
    assert (configuration.estate, configuration.schedules, configuration.people) == ({}, (), ())
    assert configuration.routing.digest.channels == ("console",)
    assert str(configuration.routing.digest.timezone) == "Europe/Berlin"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        check(tmp_path / "nowhere", JOBS, BERLIN)


def test_entries_get_the_defaults_they_do_not_override(checked: Checked) -> None:
    backup, disk = checked(estate=WHOLE_ESTATE).entries(COMMAND)
    assert (backup.environment, backup.owner, backup.labels) == ("production", "ops", {"tier": "1", "what": "backup"})
    assert (disk.environment, disk.owner, disk.labels) == ("default", "ops", {"tier": "1"})


def test_a_job_without_a_table_has_one_entry_of_its_own_name(checked: Checked) -> None:
    (entry,) = checked(estate=WHOLE_ESTATE).entries(LONER)
    assert (entry.name, entry.owner) == ("loner", "ops")


def test_the_shipped_schedules_are_in_force_for_jobs_with_entries_only(checked: Checked) -> None:
    (schedule,) = checked(estate=WHOLE_ESTATE).schedules
    assert (schedule.name, schedule.job, schedule.zone) == ("nightly-commands", "command", BERLIN)


def test_a_schedules_file_of_ones_own_replaces_the_shipped_ones(checked: Checked) -> None:
    own = '[[schedule]]\nname = "hourly"\njob = "command"\ncron = "0 * * * *"\n[schedule.select]\nentries = ["disk"]\n'
    (schedule,) = checked(estate=WHOLE_ESTATE, schedules=own).schedules
    assert (schedule.name, schedule.select) == ("hourly", Selector(entries=("disk",)))


def test_the_content_reads_back_as_the_same_configuration(checked: Checked) -> None:
    own = (
        '[[schedule]]\nname = "hourly"\njob = "command"\ncron = "0 * * * *"\njitter = "90s"\nstart_deadline = "1h"\n'
        'timezone = "America/New_York"\n'
    )
    routes = '[channels.page]\nkind = "console"\n[[routes]]\nchannels = ["page"]\nagain_after = "3d"\n[digest]\nat = 08:00:00\n'
    people = '[[person]]\nname = "Ana"\nemail = "ana@example.com"\nroles = { production = ["operator"] }\n'
    configuration = checked(estate=WHOLE_ESTATE, schedules=own, routes=routes, people=people)
    again = Configuration.model_validate(configuration.content)
    assert (again, again.digest) == (configuration, configuration.digest)
    assert again.routing == configuration.routing


def test_comments_and_the_order_of_keys_do_not_change_the_digest(checked: Checked) -> None:
    first = checked(estate='[[command]]\nname = "a"\nargv = ["true"]\n').digest
    assert checked(estate='# why\n[[command]]\nargv = ["true"]\nname = "a"\n').digest == first
    assert checked(estate='[[command]]\nname = "a"\nargv = ["false"]\n').digest != first


def test_every_problem_of_every_file_is_told_at_once(refused: Refused) -> None:
    found = refused(
        estate='[environments.production]\nmode = "exec"\n[[comand]]\nname = "x"\n',
        people='[[person]]\nname = "Ana"\nphone = 1\n',
        policy="[policy]\nversion = 2\n",
        schedules='[[schedule]]\nname = "n"\njob = "command"\ncron = "61 * * * *"\n',
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "estate.toml:2",
        "estate.toml:3",
        "people.toml:3",
        "policy.toml:2",
        "schedules/own.toml:4",
    ]


@pytest.mark.parametrize(
    ("estate", "problem"),
    [
        ('[[comand]]\nname = "x"', "estate.toml:1: comand = […]: no job has this name; did you mean command?"),
        ('[[loner]]\nname = "x"', "estate.toml:1: loner = […]: the job loner takes no entries"),
        ('[command]\nname = "x"', "estate.toml:1: command = {…}: write each entry as a table of its own, headed [[command]]"),
        ('[[command]]\nname = "x"', "estate.toml:1: command[0].argv: is missing; Program and arguments"),
        (
            '[[command]]\nname = "x"\nargv = ["y"]\ntimeout_second = 4',
            "estate.toml:4: command[0].timeout_second = 4: unknown key; did you mean timeout_seconds? accepted:",
        ),
        ('[[command]]\nname = "x"\nargv = "ls -l"', 'estate.toml:3: command[0].argv = "ls -l": is not an array'),
        (
            '[[command]]\nname = "x"\nargv = ["y"]\n[[command]]\nname = "x"\nargv = ["z"]',
            'estate.toml:5: command[1].name = "x": the name is taken by entry 1',
        ),
        (
            '[environments.production]\n[[command]]\nname = "x"\nargv = ["y"]\nenvironment = "prodution"',
            'estate.toml:5: command[0].environment = "prodution": no such environment; did you mean production?',
        ),
        ('[environments.production]\nmode = "exec"', "Input should be 'observe', 'propose' or 'execute'"),
        ("environments = 3", "estate.toml:1: environments = 3: accepted: tables headed [environments.NAME]"),
        ('[defaults]\nenvironment = "prod"', 'estate.toml:2: defaults.environment = "prod": no such environment'),
        ("[[command]\n", "estate.toml:1: is not TOML:"),
    ],
)
def test_a_wrong_estate_says_file_line_key_and_what_is_accepted(refused: Refused, estate: str, problem: str) -> None:
    (found,) = refused(estate=estate)
    assert problem in found


@pytest.mark.parametrize(
    ("people", "problem"),
    [
        ('[[people]]\nname = "Ana"', "people.toml:1: people = […]: unknown table; accepted: person"),
        ('[[person]]\nname = "Ana"\nemail = "ana"', 'people.toml:3: person[0].email = "ana": no e-mail address'),
        ('[[person]]\nname = "Ana"\n[[person]]\nname = "ana"', 'people.toml:4: person[1].name = "ana": is taken by person 1'),
        ('[[person]]\nname = "Ana"\nroles = { prod = ["viewer"] }', "no such environment; accepted: *, default"),
        ('[[person]]\nname = "Ana"\nroles = { "*" = ["root"] }', "Input should be 'viewer', 'operator' or 'admin'"),
        ('[person]\nname = "Ana"', "people.toml:1: person = {…}: write each person as a table of its own, headed [[person]]"),
    ],
)
def test_wrong_people_are_refused_by_line(refused: Refused, people: str, problem: str) -> None:
    (found,) = refused(people=people)
    assert problem in found


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('job = "comand"', 'own.toml:4: schedule[0].job = "comand": no such job; did you mean command?'),
        ('job = "command"\nselect = { entries = ["dsk"] }', "dsk is not in the estate of command; did you mean disk?"),
        ('job = "command"\nselect = { environments = ["prod"] }', "prod is not in the estate of command"),
        ('job = "command"\nparameters = { deep = true }', "own.toml:5: schedule[0].parameters.deep = true: unknown key"),
        ('job = "command"\nparameters = { entries = ["disk"] }', "is no parameter of a schedule; name entries by `select`"),
    ],
)
def test_a_schedule_that_does_not_fit_jobs_and_estate_is_refused(refused: Refused, table: str, problem: str) -> None:
    own = f'[[schedule]]\nname = "nightly"\ncron = "0 3 * * *"\n{table}\n'
    (found,) = refused(estate=WHOLE_ESTATE, schedules=own)
    assert problem in found


def test_two_schedules_of_one_name_in_two_files_are_refused(folder: Path, refused: Refused) -> None:
    table = '[[schedule]]\nname = "nightly"\njob = "command"\ncron = "0 3 * * *"\n'
    (folder / "schedules" / "also.toml").write_text(table, encoding="utf-8")
    (found,) = refused(estate=WHOLE_ESTATE, schedules=table)
    assert "schedules/own.toml:2: schedule[0].name" in found
    assert "is taken by a schedule of schedules/also.toml" in found


def test_an_entry_that_is_refused_does_not_make_its_schedule_wrong_too(refused: Refused) -> None:
    own = '[[schedule]]\nname = "n"\njob = "command"\ncron = "0 3 * * *"\n[schedule.select]\nentries = ["x"]\n'
    (found,) = refused(estate='[[command]]\nname = "x"\n', schedules=own)
    assert found.startswith("estate.toml:1: command[0].argv")


def test_a_file_whose_name_is_nearly_right_is_not_overlooked(refused: Refused) -> None:
    (found,) = refused(route="[digest]\n")
    assert found == (
        "route.toml: is not read; did you mean routes.toml? accepted: "
        "estate.toml, nightshift.toml, people.toml, policy.toml, policy_tests.toml, routes.toml"
    )


def test_a_file_that_is_not_utf8_is_refused(folder: Path, refused: Refused) -> None:
    (folder / "estate.toml").write_bytes(b"# caf\xe9\n")
    assert refused() == ["estate.toml: is not UTF-8 at byte 5"]


CANARY = "canary-7f3a9c"


@pytest.mark.parametrize(
    "files",
    [
        {"estate": f'[[command]]\nname = "x"\nargv = ["y"]\nenv = {{ API_TOKEN = "{CANARY}" }}\n'},
        {"estate": f'[[command]]\nname = "x"\nargv = ["y"]\npasword = "{CANARY}"\n'},
        {"estate": f'[[command]]\nname = "x"\nargv = ["y"]\nenv = {{ AWS_SECRET_ACCESS_KEY = "{CANARY}" }}\n'},
        {"people": f'[[person]]\nname = "Ana"\npin_hash = "{CANARY}"\n'},
        {"people": f'[[person]]\nname = "Ana"\npin = "{CANARY}"\n'},
        {"routes": f'[channels.w]\nkind = "webhook"\nurl = "env:U"\nsecret = "{CANARY}"\n'},
        {"routes": f'[channels.w]\nkind = "webhook"\nurl = "env:U"\nsecret = "env:S"\nsecert = "{CANARY}"\n'},
        {"schedules": f'[[schedule]]\nname = "n"\njob = "loner"\ncron = "0 3 * * *"\nparameters = {{ token = "{CANARY}" }}\n'},
        {"schedules": f'[[schedule]]\nname = "n"\njob = "loner"\ncron = "0 3 * * *"\nping_url = "{CANARY}"\n'},
    ],
)
def test_an_inline_secret_is_refused_and_never_shown(refused: Refused, files: dict[str, str]) -> None:
    found = refused(**files)
    assert found
    assert CANARY not in "\n".join(found)


def test_roles_are_grants_in_their_environment_alone(checked: Checked) -> None:
    people = (
        f'[[person]]\nname = "Ana"\nemail = "Ana@example.com"\npin_hash = "{hash_pin("493817")}"\n'
        'chat = { slack = "U1" }\nroles = { production = ["operator"], "*" = ["viewer"] }\n'
    )
    configuration = checked(estate=WHOLE_ESTATE, people=people)
    ana = configuration.person("ana@EXAMPLE.com")
    assert ana is configuration.person("Ana")
    assert ana is not None
    assert allows(ana.grants, "run", "command", "production")
    assert not allows(ana.grants, "run", "command", "default")
    assert allows(ana.grants, "read")
