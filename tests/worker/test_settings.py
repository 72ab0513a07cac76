from pathlib import Path

import pytest

from worker.redaction import PROCESS
from worker.settings import Settings, SettingsError, load_settings, machine_timezone, settings_table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "nightshift.toml"


def refused(environ: dict[str, str], file: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, file)
    return [str(problem) for problem in caught.value.problems]


def test_without_anything_every_setting_has_its_default(tmp_path: Path) -> None:
    loaded = load_settings({"HOME": str(tmp_path), "NIGHTSHIFT_HOME": str(tmp_path / "home")})
    assert loaded.settings.ledger_url == f"sqlite:///{tmp_path}/home/ledger.db"
    assert (loaded.settings.host, loaded.settings.port, loaded.settings.broker_url) == ("127.0.0.1", 8321, None)
    assert {source for name, source in loaded.sources.items() if name != "home"} == {"default"}


def test_a_variable_wins_over_the_file_and_the_sources_say_so(file: Path) -> None:
    file.write_text('# mine\nport = 9000\nlog_level = "debug"\n', encoding="utf-8")
    loaded = load_settings({"NIGHTSHIFT_PORT": "0", "NIGHTSHIFT_CONFIG": str(file)})
    assert (loaded.settings.port, loaded.settings.log_level) == (0, "debug")
    assert (loaded.sources["port"], loaded.sources["log_level"]) == ("NIGHTSHIFT_PORT", "nightshift.toml:3")


def test_the_file_in_home_is_read_when_none_is_named(tmp_path: Path, file: Path) -> None:
    file.write_text("concurrency = 7\n", encoding="utf-8")
    assert load_settings({"NIGHTSHIFT_HOME": str(tmp_path)}).settings.concurrency == 7


@pytest.mark.parametrize(
    "text", ["a.example.com, *.b.example.com,[::1]:8080", '["a.example.com","*.b.example.com","[::1]:8080"]']
)
def test_a_list_in_a_variable_is_commas_or_json(tmp_path: Path, text: str) -> None:
    loaded = load_settings({"NIGHTSHIFT_HOME": str(tmp_path), "NIGHTSHIFT_CALLBACK_HOSTS": text})
    assert loaded.settings.callback_hosts == ("a.example.com", "*.b.example.com", "[::1]:8080")


@pytest.mark.parametrize("text", ["vault=ours.vault:VAULT, b=ours.b:B", '{"vault": "ours.vault:VAULT", "b": "ours.b:B"}'])
def test_providers_in_a_variable_are_pairs_or_json(tmp_path: Path, text: str) -> None:
    loaded = load_settings({"NIGHTSHIFT_HOME": str(tmp_path), "NIGHTSHIFT_PROVIDERS": text})
    assert loaded.settings.providers == {"vault": "ours.vault:VAULT", "b": "ours.b:B"}


def test_an_empty_variable_unsets_what_may_be_unset(file: Path) -> None:
    file.write_text('broker_url = "redis://localhost"\n', encoding="utf-8")
    assert load_settings({"NIGHTSHIFT_BROKER_URL": ""}, file).settings.broker_url is None


def test_variables_that_are_ours_but_no_settings_are_let_be(tmp_path: Path) -> None:
    environ = {
        "NIGHTSHIFT_HOME": str(tmp_path),
        "NIGHTSHIFT_CI": "1",
        "NIGHTSHIFT_SECRET_X": "y",
        "NIGHTSHIFT_TEST_NO_REDIS": "1",
    }
    assert load_settings(environ).settings.home == tmp_path


def test_every_problem_is_told_with_its_place_and_what_is_accepted(file: Path) -> None:
    file.write_text('port = 70000\nprot = 1\ntimezone = "Berlin"\njobs = ["ours.job"]\n', encoding="utf-8")
    assert refused({"NIGHTSHIFT_LEASE_SECOND": "3", "NIGHTSHIFT_CONCURRENCY": "many"}, file) == [
        "environment: NIGHTSHIFT_LEASE_SECOND: unknown variable; did you mean NIGHTSHIFT_LEASE_SECONDS?",
        "nightshift.toml:2: prot = 1: unknown setting; did you mean port?",
        "nightshift.toml:1: port = 70000: Input should be less than or equal to 65535",
        'nightshift.toml:3: timezone = "Berlin": no such time zone; accepted: a name of the IANA list, e.g. Europe/Berlin or UTC',
        'environment: NIGHTSHIFT_CONCURRENCY = "many": Input should be a valid integer, unable to parse string as an integer',
        'nightshift.toml:4: jobs[0] = "ours.job": accepted: module:attribute, e.g. ourchecks.backups:JOB',
    ]


def test_a_named_file_that_is_not_there_is_refused(file: Path) -> None:
    assert refused({"NIGHTSHIFT_CONFIG": str(file)}) == [f"{file}: there is no such file; NIGHTSHIFT_CONFIG or --config names it"]


def test_a_file_that_is_not_toml_is_refused(file: Path) -> None:
    file.write_text("port =\n", encoding="utf-8")
    (found,) = refused({}, file)
    assert "is not TOML" in found


def test_no_table_message_or_repr_shows_a_password(file: Path) -> None:
    file.write_text('ledger_url = "postgresql://me:canary-81f2@db/nightshift"\n', encoding="utf-8")
    loaded = load_settings({"NIGHTSHIFT_BROKER_URL": "redis://:canary-81f2@broker"}, file)
    rows = {row.name: row for row in settings_table(loaded)}
    assert rows["ledger_url"].value == "postgresql://me:***@db/nightshift"
    assert rows["broker_url"].value == "redis://:***@broker"
    assert "canary" not in f"{loaded}{rows}{loaded.settings.shown()}"
    assert PROCESS.redact("password canary-81f2 was refused") == "password *** was refused"


def test_a_misspelt_setting_does_not_give_its_password_away(file: Path) -> None:
    file.write_text('brokerurl = "canary-81f3"\n', encoding="utf-8")
    (found,) = refused({}, file)
    assert "did you mean broker_url?" in found
    assert "canary" not in found


def test_the_table_has_a_described_row_for_every_setting_and_no_path_of_this_machine(tmp_path: Path) -> None:
    rows = settings_table(load_settings({"NIGHTSHIFT_HOME": str(tmp_path)}))
    assert [row.name for row in rows] == list(Settings.model_fields)
    assert all(row.description for row in rows)
    assert [row.default for row in rows[:2]] == ["~/.nightshift", "sqlite:///<home>/ledger.db"]
    assert rows[0].variable == "NIGHTSHIFT_HOME"


@pytest.mark.parametrize(
    ("environ", "link", "zone"),
    [
        ({"TZ": ":Europe/Zurich"}, "Europe/Berlin", "Europe/Zurich"),
        ({"TZ": "CET-1CEST,M3.5.0"}, "Europe/Berlin", "Europe/Berlin"),
        ({}, "Europe/Berlin", "Europe/Berlin"),
        ({}, "nonsense", "UTC"),
    ],
)
def test_the_machines_zone_is_TZ_else_where_localtime_points_else_UTC(  # noqa: N802 - names of the things
    tmp_path: Path, environ: dict[str, str], link: str, zone: str
) -> None:
    localtime = tmp_path / "localtime"
    localtime.symlink_to(f"/usr/share/zoneinfo/{link}")
    assert machine_timezone(environ, localtime) == zone
