"""Each command on a ledger of its own: what it shows, what it changes, what it refuses and with which exit code."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import ESTATE, Cli, Instance, clean_environ, start
from worker.cli.printing import console, show_table
from worker.ledger import Ledger, people, telling
from worker.records import DeliveryState


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One running instance for the tests that need runs carried out."""
    home = tmp_path_factory.mktemp("live")
    home.chmod(0o700)
    (home / "estate.toml").write_text(ESTATE)
    instance = start(Cli(home, clean_environ(home)))
    yield instance
    instance.end()


def test_a_waited_run_shows_what_it_found_and_exits_with_0(live: Instance) -> None:
    told = live.cli("run", "command")
    assert "succeeded" in told
    assert "broken" in told


def test_fail_on_finding_exits_with_3_and_only_then(live: Instance) -> None:
    live.cli("run", "command", "--entries", "broken", "--fail-on", "finding", code=3)
    live.cli("run", "command", "--entries", "fine", "--fail-on", "finding")


def test_the_same_key_never_makes_a_second_run(live: Instance) -> None:
    first, again = (live.cli.json("run", "command", "--entries", "fine", "--key", "once") for _ in range(2))
    assert (first["joined"], again["joined"]) == (False, True)
    assert first["batch"] == again["batch"]
    assert "used at" in live.cli("run", "command", "--entries", "broken", "--key", "once", code=1)


def test_a_run_is_shown_by_the_end_of_its_id_with_its_history(live: Instance) -> None:
    run_id = live.cli.json("run", "command", "--entries", "fine")["runs"][0]["id"]
    shown = live.cli.json("runs", run_id[-12:])
    assert shown["id"] == run_id
    assert "run.started" in [entry["verb"] for entry in shown["history"]]
    assert run_id in live.cli("runs", run_id)


def test_a_finding_is_acknowledged_muted_and_unmuted(live: Instance) -> None:
    live.cli("run", "command", "--entries", "broken")
    finding = next(row["id"] for row in live.cli.json("findings") if row["entry"] == "broken")
    assert live.cli.json("findings", finding, "ack")["state"] == "acknowledged"
    assert live.cli.json("findings", finding[-12:], "mute", "--reason", "known", "--for", "2d")["state"] == "muted"
    assert live.cli.json("findings", finding, "unmute")["state"] == "open"
    assert live.cli.json("findings", finding)["reason"] in live.cli("findings")


def test_a_mute_without_a_reason_or_with_a_wrong_duration_is_refused(live: Instance) -> None:
    live.cli("run", "command", "--entries", "broken")
    finding = next(row["id"] for row in live.cli.json("findings") if row["entry"] == "broken")
    assert "`reason` is empty" in live.cli("findings", finding, "mute", code=1)
    assert "2 days" in live.cli("findings", finding, "mute", "--reason", "x", "--for", "2 days", code=1)
    assert "no finding 0000" in live.cli("findings", "0000", "ack", code=1)


def test_the_doctor_finds_a_running_instance_well(live: Instance) -> None:
    checks = live.cli.json("doctor")
    assert [check for check in checks if check["state"] != "ok"] == []
    assert {"python", "home", "disk", "ledger", "broker", "keys", "configuration", "clock", "audit", "worker"} <= {
        check["name"] for check in checks
    }


def test_the_audit_of_a_running_instance_verifies(live: Instance) -> None:
    live.cli("run", "command", "--entries", "fine")
    assert live.cli.json("audit", "verify")["troubles"] == []
    assert "run.started" in [entry["verb"] for entry in live.cli.json("audit", "list")]
    assert "cli:" in live.cli("audit")


def test_a_login_link_leads_to_where_the_instance_listens(live: Instance) -> None:
    assert live.cli("login").startswith(f"{live.facts['url']}/login/")
    assert "nobody is called 'ana'" in live.cli("login", "ana", code=1)


def test_the_doctor_says_what_to_do_when_nothing_runs(ledger_cli: Cli) -> None:
    ledger_cli.home.chmod(0o755)
    found = {check["name"]: check for check in ledger_cli.json("doctor")}
    assert (found["home"]["state"], found["home"]["advice"]) == ("warn", f"chmod 700 {ledger_cli.home}")
    assert found["broker"]["state"] == found["worker"]["state"] == "warn"
    assert "nightshift up" in found["broker"]["advice"]


def test_the_doctor_fails_on_a_wrong_file_and_a_missing_secret(ledger_cli: Cli) -> None:
    routes = '[channels.mail]\nkind = "webhook"\nurl = "https://127.0.0.1/hook"\nsecret = "env:NOT_SET_ANYWHERE"\n'
    (ledger_cli.home / "routes.toml").write_text(routes)
    ledger_cli("config", "apply")
    (ledger_cli.home / "estate.toml").write_text("[[comand]]\n")
    failed = {check["name"]: check["found"] for check in ledger_cli.json("doctor", code=1) if check["state"] == "fail"}
    assert "NOT_SET_ANYWHERE" in failed["channel mail"]
    assert "estate.toml:1" in failed["configuration"]


def test_the_doctor_examines_what_it_can_without_a_ledger(cli: Cli) -> None:
    found = {check["name"]: check for check in cli.json("doctor", code=1)}
    assert found["ledger"]["state"] == "fail"
    assert "nightshift migrate" in found["ledger"]["found"] + found["ledger"]["advice"]
    assert "clock" not in found


def test_a_configuration_is_checked_compared_applied_and_rolled_back(ledger_cli: Cli) -> None:
    estate = ledger_cli.home / "estate.toml"
    estate.write_text('[[command]]\nname = "other"\nargv = ["true"]\n')
    assert ledger_cli.json("config", "check")["entries"] == {"command": 1}
    assert "command/other" in ledger_cli("config", "diff")
    ledger_cli("config", "apply", "--note", "less")
    assert ledger_cli.json("config", "show")["note"] == "less"
    assert "no difference" in ledger_cli("config", "diff")
    assert "revision 3" in ledger_cli("config", "rollback", "1")
    assert "there is no revision 9" in ledger_cli("config", "rollback", "9", code=1)


def test_a_wrong_configuration_is_told_by_line_and_not_applied(ledger_cli: Cli) -> None:
    (ledger_cli.home / "estate.toml").write_text('[[command]]\nname = "x"\nargv = "true; rm -rf"\n')
    for verb in ("check", "apply", "diff"):
        assert "estate.toml:3" in ledger_cli("config", verb, code=1)
    problem = ledger_cli.json("config", "check", code=1)["problems"][0]
    assert (problem["file"], problem["line"], set(problem)) == ("estate.toml", 3, {"file", "line", "key", "value", "message"})
    assert ledger_cli.json("config", "show")["id"] == 1


def test_a_schedule_shows_its_next_fires_is_paused_and_resumed(ledger_cli: Cli) -> None:
    assert ledger_cli.json("schedules") != []
    line = ledger_cli.json("schedules", "--fires", "3")[0]
    assert line["fires"] == sorted(set(line["fires"]))
    assert len(line["fires"]) == 3
    ledger_cli("pause", line["name"], "--reason", "holiday")
    paused = ledger_cli.json("schedules")[0]
    assert (paused["fires"], "holiday" in paused["paused"]) == ([], True)
    assert "paused already" in ledger_cli("pause", line["name"], "--reason", "again", code=1)
    ledger_cli("resume", line["name"])
    assert "not paused" in ledger_cli("resume", line["name"], code=1)
    assert "schedules are" in ledger_cli("pause", "nope", "--reason", "x", code=1)


def test_fires_are_shown_in_the_zone_of_the_reader(ledger_cli: Cli) -> None:
    assert "JST" in ledger_cli.with_environ(TZ="Asia/Tokyo")("schedules")


def test_a_queued_run_is_cancelled_once(ledger_cli: Cli) -> None:
    run_id = ledger_cli.json("run", "command", "--entries", "fine", "--no-wait")["runs"][0]["id"]
    assert "is cancelled" in ledger_cli("cancel", run_id[-12:])
    assert "has ended already" in ledger_cli("cancel", run_id, code=1)
    assert [run["state"] for run in ledger_cli.json("runs", "--state", "cancelled")] == ["cancelled"]


def test_a_whole_batch_is_cancelled(ledger_cli: Cli) -> None:
    batch = ledger_cli.json("run", "command", "--no-wait")["batch"]
    assert ledger_cli("cancel", "--batch", batch).startswith("2 runs")


def test_only_a_run_that_needs_attention_is_resolved(ledger_cli: Cli) -> None:
    run_id = ledger_cli.json("run", "command", "--entries", "fine", "--no-wait")["runs"][0]["id"]
    assert "only a run that needs attention" in ledger_cli("resolve", run_id, "--reason", "x", "--retry", code=1)
    assert "exactly one of" in ledger_cli("resolve", run_id, "--reason", "x", code=2)
    assert "exactly one of" in ledger_cli("resolve", run_id, "--reason", "x", "--retry", "--applied", code=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "certificats"), "did you mean 'certificates'?"),
        (("run", "command", "--entries", "fin"), "did you mean fine?"),
        (("run", "command", "--param", "deep"), "expected KEY=VALUE"),
        (("run", "command", "--param", "deep=1"), "deep"),
        (("run", "command", "--target", "{broken"), "is not JSON"),
        (("runs", "--state", "asleep"), "accepted are queued, running"),
        (("runs", "0000"), "no run 0000"),
        (("token", "create", "x", "--role", "king"), "accepted are viewer, operator, admin, n8n"),
        (("token", "create", "x", "--grant", "rule:all"), "accepted verbs are run"),
        (("token", "create", "x", "--grant", "run:command:default:adhoc"), "ENVIRONMENTS[:ad_hoc]"),
        (("token", "create", "x", "--grant", "run:command:default:ad_hoc:more"), "ENVIRONMENTS[:ad_hoc]"),
        (("token", "create", "x", "--grant", "run:comand"), "no job is called 'comand': jobs are"),
        (("token", "create", "x"), "without any grant"),
        (("token", "create", "--person", "eve"), "nobody is called 'eve' in the configuration in force"),
        (("token", "revoke", "0000"), "no token 0000"),
        (("freeze", "--reason", " "), "`reason` is empty"),
    ],
)
def test_what_cannot_be_done_is_refused_with_1_and_one_clear_line(arguments: tuple[str, ...], told: str, ledger_cli: Cli) -> None:
    assert told in ledger_cli(*arguments, code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("run",),
        ("runs", "--limit", "0"),
        ("findings", "x", "forget"),
        ("token", "create"),
        ("token", "create", "x", "--person", "ana"),
        ("token", "create", "--person", "ana", "--role", "admin"),
    ],
)
def test_a_wrong_call_exits_with_2(arguments: tuple[str, ...], ledger_cli: Cli) -> None:
    ledger_cli(*arguments, code=2)


def test_a_wrong_setting_is_told_with_what_is_accepted(cli: Cli) -> None:
    assert "did you mean NIGHTSHIFT_PORT?" in cli.with_environ(NIGHTSHIFT_PROT="1")("settings", code=2)


def test_a_token_is_shown_once_narrowed_replaced_and_revoked(ledger_cli: Cli) -> None:
    made = ledger_cli.json("token", "create", "ci", "--grant", "run:command,certificates:prod", "--days", "1")
    grant = made["grants"][0]
    assert (grant["verb"], grant["jobs"], grant["environments"]) == ("run", ["command", "certificates"], ["prod"])
    other = ledger_cli.json("token", "create", "ci", "--role", "n8n", "--replaces", made["id"][-12:])
    assert other["kind"] == "n8n"
    with closing(Ledger(f"sqlite:///{ledger_cli.home}/ledger.db")) as ledger, ledger.read() as connection:
        assert len({token.family for token in people.tokens(connection)}) == 1
    listed = ledger_cli("token", "list") + str(ledger_cli.json("token", "list"))
    assert made["token"] not in listed
    ledger_cli("token", "revoke", made["id"])
    assert "revoked before" in ledger_cli("token", "revoke", made["id"], code=1)


def test_a_grant_for_targets_outside_the_estate_is_written_as_its_fourth_part(ledger_cli: Cli) -> None:
    grant = ledger_cli.json("token", "create", "n8n", "--grant", "run:command:default:ad_hoc")["grants"][0]
    assert (grant["jobs"], grant["environments"], grant["ad_hoc"]) == (["command"], ["default"], True)


def test_entries_given_as_a_parameter_are_names_with_commas(ledger_cli: Cli) -> None:
    made = ledger_cli.json("run", "command", "--param", "entries=fine, broken", "--no-wait")
    assert len(made["runs"]) == 2
    assert len(ledger_cli.json("run", "command", "--param", 'entries=["fine"]', "--no-wait")["runs"]) == 1


def test_the_jobs_are_listed_with_their_parameters(cli: Cli) -> None:
    assert "warn_below=" in cli("jobs")
    assert {"name", "summary", "params"} <= set(next(job for job in cli.json("jobs") if job["name"] == "certificates"))


def test_the_doctor_tells_of_brakes_lost_deliveries_and_entries_nobody_looks_at(ledger_cli: Cli) -> None:
    schedules = ledger_cli.home / "schedules"
    schedules.mkdir(exist_ok=True)
    (schedules / "nightly.toml").write_text(
        '[[schedule]]\nname = "some"\ncron = "0 3 * * *"\njob = "command"\nselect = { entries = ["fine"] }\n'
    )
    ledger_cli("config", "apply")
    ledger_cli("freeze", "--reason", "the sales week")
    now = datetime.now(UTC)
    with closing(Ledger(f"sqlite:///{ledger_cli.home}/ledger.db")) as ledger, ledger.transaction() as tx:
        for message, state in (("1", DeliveryState.FAILED), ("2", DeliveryState.SENDING)):
            row = telling.begin_delivery(tx, message_id=message, kind="digest", channel="mail", subject="", at=now)
            telling.end_delivery(tx, row.id, state=state, detail="550 no such user", at=now)
    warned = [(check["name"], check["found"]) for check in ledger_cli.json("doctor") if check["state"] == "warn"]
    assert ("channel mail", "1 delivery failed: 550 no such user") in warned
    assert ("channel mail", "1 delivery being retried: 550 no such user") in warned
    assert ("schedules", "no schedule selects command: broken") in warned
    assert "the sales week" in next(found for name, found in warned if name == "brakes")


def test_keys_are_rotated_and_the_old_one_stays_for_reading(ledger_cli: Cli) -> None:
    before = ledger_cli.json("keys", "list")
    ledger_cli("keys", "rotate")
    assert ledger_cli.json("keys", "list")["older"] == [before["current"]]


def test_brakes_are_set_and_lifted(ledger_cli: Cli) -> None:
    assert "neither frozen nor killed" in ledger_cli("brakes")
    for verb, frozen, killed in (("freeze", True, False), ("kill", True, True), ("thaw", False, False)):
        ledger_cli(verb, "--reason", "a test")
        told = ledger_cli.json("brakes")
        assert (told["frozen"], told["killed"], told["reason"]) == (frozen, killed, "a test" if frozen else None)
    assert [entry["verb"] for entry in ledger_cli.json("audit", "list", "--limit", "3")] == [
        "ledger.thawed", "ledger.killed", "ledger.frozen",
    ]  # fmt: skip


def test_migrating_twice_changes_nothing(cli: Cli) -> None:
    assert "was empty" in cli("migrate")
    assert "as before" in cli("migrate")


def test_home_and_settings_file_are_named_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("port = 9000\n")
    rows = cli.json("--home", str(tmp_path / "elsewhere"), "--config", str(file), "settings")
    found = {row["name"]: (row["value"], row["source"]) for row in rows}
    assert found["port"] == ("9000", "mine.toml:1")
    assert found["home"][0] == str(tmp_path / "elsewhere")


def test_nothing_in_a_table_steers_the_terminal(capsys: pytest.CaptureFixture[str], fresh_console: None) -> None:
    show_table(["what"], [["\x1b]0;owned\x07 [red]CN=x[/red]\x1b[2J"]], empty="")
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]CN=x[/red]" in told


@pytest.fixture
def fresh_console() -> Iterator[None]:
    """The console is kept per process; this one writes to where the test reads."""
    console.cache_clear()
    yield
    console.cache_clear()


def test_the_digest_tells_of_the_night_so_far_and_ends_it_when_told(cli: Cli) -> None:
    cli("migrate")
    assert "nothing was looked at" in cli("digest")
    assert cli.json("digest", "--now")["kind"] == "digest"
    assert [row["verb"] for row in cli.json("audit", "list") if row["verb"].startswith("night")] == ["night.closed"]
