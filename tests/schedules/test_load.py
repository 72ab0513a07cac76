"""A schedules file becomes Schedules, or is refused with file, line, key, value and what is accepted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import schedules
from schedules.errors import CronError, Problem, ScheduleFileError
from schedules.load import load_schedules
from schedules.schedule import Schedule, Selector, next_due

BERLIN = ZoneInfo("Europe/Berlin")
SHORT = '[[schedule]]\nname = "nightly"\njob = "certificates"\ncron = "30 2 * * *"\n'


def problems(text: str) -> list[Problem]:
    with pytest.raises(ScheduleFileError) as refused:
        load_schedules(text, "own.toml", BERLIN)
    return list(refused.value.problems)


def test_short_table_gets_the_defaults() -> None:
    expected = Schedule(name="nightly", cron="30 2 * * *", job="certificates", zone=BERLIN)
    assert load_schedules(SHORT, "own.toml", BERLIN) == [expected]


def test_every_key_is_read() -> None:
    text = """
        [[schedule]]
        name = "hourly-web"
        job = "command"
        cron = "0 * * * 1-5"
        timezone = "America/New_York"
        catch_up = "all"
        overlap = "queue"
        jitter = "90s"
        start_deadline = "2h"
        trigger = "n8n"
        ping_url = "env:HOURLY_PING"
        parameters = { depth = 3, strict = true, names = ["a", "b"] }
        [schedule.select]
        entries = ["www"]
        environments = ["production"]
        owners = ["web"]
        labels = { tier = "1" }
    """
    assert load_schedules(text, "own.toml", BERLIN) == [
        Schedule(
            name="hourly-web",
            cron="0 * * * 1-5",
            job="command",
            zone=ZoneInfo("America/New_York"),
            select=Selector(entries=("www",), environments=("production",), owners=("web",), labels={"tier": "1"}),
            parameters={"depth": 3, "strict": True, "names": ["a", "b"]},
            catch_up="all",
            overlap="queue",
            jitter=timedelta(seconds=90),
            start_deadline=timedelta(hours=2),
            trigger="n8n",
            ping_url="env:HOURLY_PING",
        )
    ]


def test_file_without_schedules_is_an_empty_list() -> None:
    assert load_schedules("# nothing yet\n", "own.toml", BERLIN) == []


def test_set_that_ships_loads_in_the_zone_of_the_instance() -> None:
    text = (Path(schedules.__file__).parent / "nightly.toml").read_text(encoding="utf-8")
    shipped = load_schedules(text, "nightly.toml", BERLIN)
    assert [(one.name, one.job, one.cron, one.zone) for one in shipped] == [
        ("nightly-certificates", "certificates", "30 2 * * *", BERLIN),
        ("nightly-drift", "drift", "0 1 * * *", BERLIN),
        ("nightly-commands", "command", "0 3 * * *", BERLIN),
    ]


@pytest.mark.parametrize(
    ("line", "key", "value", "words"),
    [
        ('crom = "1"', "crom", None, ["unknown key", "did you mean `cron`?", "start_deadline"]),
        ("jitter = 10", "jitter", None, ["an integer", "accepted: a string"]),
        ('jitter = "10 minutes"', "jitter", "'10 minutes'", ["not a duration", "`10m`"]),
        ('jitter = "9999999d"', "jitter", "'9999999d'", ["longer than 366 days"]),
        ('start_deadline = "0s"', "start_deadline", "'0s'", ["more than zero"]),
        ('timezone = "Europe/Berlon"', "timezone", "'Europe/Berlon'", ["did you mean `Europe/Berlin`?"]),
        ('timezone = "Europe"', "timezone", "'Europe'", ["not a time zone"]),
        ('timezone = "../../etc/passwd"', "timezone", "'../../etc/passwd'", ["not a time zone"]),
        ('catch_up = "none"', "catch_up", "'none'", ["skip, one, all"]),
        ('overlap = "forbit"', "overlap", "'forbit'", ["did you mean `forbid`?", "queue"]),
        ('trigger = "N8N"', "trigger", "'N8N'", ["scheduler, n8n"]),
        ("select = []", "select", None, ["an array", "accepted: a table"]),
        ('select = { owner = ["x"] }', "select.owner", None, ["did you mean `owners`?"]),
        ('select = { owners = "x" }', "select.owners", None, ["array of strings"]),
        ('select = { owners = [""] }', "select.owners", None, ["array of strings"]),
        ("select = { labels = { tier = 1 } }", "select.labels.tier", None, ["an integer", "a string"]),
        ("parameters = { since = 2026-01-01 }", "parameters.since", None, ["a date", "write it as a string"]),
        ("parameters = { ratios = [1, nan] }", "parameters.ratios[1]", "nan", ["JSON"]),
        ('ping_url = "ftp://canary"', "ping_url", "(not shown)", ["http(s)", "env:"]),
    ],
)
def test_wrong_key_type_or_value_is_refused_by_line(line: str, key: str, value: str | None, words: list[str]) -> None:
    [problem] = problems(SHORT + line)
    assert (problem.source, problem.line, problem.key, problem.value) == ("own.toml", 5, f"schedule[0].{key}", value)
    assert all(word in problem.message for word in words), problem.message


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 0 30 2 *", "date that never comes"),
        ("0 0 31 4,6 *", "date that never comes"),
        ("0 0 2 * * *", "has 6 fields; five are accepted"),
        ("@daily", "has 1 fields; five are accepted"),
        ("", "has 0 fields; five are accepted"),
        ("60 0 * * *", "not a cron line"),
        ("0 0 * * mun", "not a cron line"),
        ("*/0 * * * *", "not a cron line"),
        ("R 1 * * *", "use `jitter`"),
        ("0 h(1-3) * * *", "use `jitter`"),
    ],
)
def test_cron_that_cannot_be_used_is_refused(cron: str, words: str) -> None:
    [problem] = problems(SHORT.replace("30 2 * * *", cron))
    assert (problem.line, problem.key, problem.value) == (4, "schedule[0].cron", repr(cron))
    assert words in problem.message


def test_cron_that_came_by_another_way_is_refused_when_it_is_reckoned_with() -> None:
    with pytest.raises(CronError, match="five are accepted"):
        next_due(Schedule(name="x", cron="* *", job="x", zone=BERLIN), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", ["", "Nightly", "night ly", "-x", "x" * 64, "nightly\\n"])
def test_name_that_is_no_name_is_refused(name: str) -> None:
    [problem] = problems(SHORT.replace('"nightly"', f'"{name}"'))
    assert (problem.line, problem.key) == (2, "schedule[0].name")
    assert "accepted: up to 63" in problem.message


def test_empty_job_is_refused() -> None:
    [problem] = problems(SHORT.replace("certificates", " "))
    assert (problem.line, problem.message) == (3, "is empty")


def test_missing_keys_are_told_on_the_line_of_the_table() -> None:
    assert [(problem.line, problem.key, problem.message) for problem in problems("\n[[schedule]]\n")] == [
        (2, "schedule[0].name", "is missing"),
        (2, "schedule[0].cron", "is missing"),
        (2, "schedule[0].job", "is missing"),
    ]


def test_schedule_that_n8n_triggers_needs_a_deadline() -> None:
    [problem] = problems(SHORT + 'trigger = "n8n"\n')
    assert (problem.key, problem.message) == ("schedule[0].start_deadline", "is missing")


def test_second_schedule_of_one_name_is_refused_and_names_the_first() -> None:
    [problem] = problems(SHORT + SHORT)
    assert (problem.line, problem.key, problem.value) == (6, "schedule[1].name", "'nightly'")
    assert "line 2" in problem.message


def test_all_problems_of_a_file_are_told_together_in_the_order_of_their_lines() -> None:
    text = SHORT + 'jitter = "soon"\n' + SHORT.replace("nightly", "other").replace("30 2", "99 2") + "unknown = 1\n"
    assert [problem.line for problem in problems("wrong = 1\n" + text)] == [1, 6, 10, 11]


def test_unknown_top_level_table_is_refused() -> None:
    [problem] = problems(SHORT + "[[schedules]]\n")
    assert (problem.line, problem.key) == (5, "schedules")
    assert "did you mean `schedule`?" in problem.message


@pytest.mark.parametrize("text", ["[schedule]\n", "schedule = 3\n", "schedule = [1]\n"])
def test_schedule_that_is_no_array_of_tables_is_refused(text: str) -> None:
    [problem] = problems(text)
    assert (problem.line, problem.key) == (1, "schedule")
    assert "[[schedule]]" in problem.message


@pytest.mark.parametrize(("text", "line"), [(SHORT + "job\n", 5), (SHORT + 'owner = "x', 5), (SHORT + 'job = "again"\n', 5)])
def test_text_that_is_not_toml_is_refused_with_the_line(text: str, line: int) -> None:
    [problem] = problems(text)
    assert problem.line == line
    assert str(problem).startswith(f"own.toml:{line}: is not TOML: ")


def test_message_of_the_error_holds_file_line_key_value_and_what_is_accepted() -> None:
    with pytest.raises(ScheduleFileError) as refused:
        load_schedules(SHORT + 'overlap = "x"', "own.toml", BERLIN)
    assert str(refused.value) == "own.toml:5: schedule[0].overlap = 'x': is not accepted; accepted: forbid, queue, replace"
