"""The job `command`: scripts as checks, run for real."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.command import JOB, CommandEntry, CommandParams
from tasks.context import CommandResult
from tasks.errors import Cancelled
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tasks.providers.process import LocalCommands
from tasks.testing import CancelSwitch, FakeArtifacts, FakeCommands, FakeContext, FakeSecrets, finished, run_check

CANARY = 'canary-"5e7c"-é/äß'


def script(text: str, **keys: object) -> CommandEntry:
    return CommandEntry.model_validate({"name": "disk", "argv": ["/bin/sh", "-c", text], **keys})


def answers(
    entry: CommandEntry, *, secrets: dict[str, str] | None = None, artifacts: FakeArtifacts | None = None
) -> list[Answer]:
    ctx = FakeContext(
        job="command",
        selected=[entry],
        commands=LocalCommands(grace=timedelta(seconds=0.2)),
        secrets=FakeSecrets(secrets or {}),
        artifacts=artifacts or FakeArtifacts(),
    )
    return run_check(JOB, ctx, CommandParams(entries=(), targets=()))


def said(entry: CommandEntry, result: CommandResult) -> list[Answer]:
    ctx = FakeContext(job="command", selected=[entry], commands=FakeCommands({entry.argv: result}))
    return run_check(JOB, ctx)


def told(found: list[Answer]) -> list[tuple[str, str]]:
    return [(type(answer).__name__, answer.reason) for answer in found]


QUIET = script("x")


def test_a_script_that_ends_well_and_says_nothing_is_ok() -> None:
    assert answers(script("echo all 7 disks fine; echo more")) == [
        Ok(entry="disk", subject="disk", summary="all 7 disks fine", recheck="/bin/sh -c 'echo all 7 disks fine; echo more'")
    ]


def test_of_a_flood_of_answers_the_first_are_kept_and_the_rest_is_not_called_well() -> None:
    lines = "".join(f'{{"key": "k{number}", "title": "t"}}\n' for number in range(1_500))
    found = told(said(QUIET, finished(lines)))
    assert len(found) == 1_001
    assert found[-1] == ("CannotTell", "too_many_answers")


def test_a_line_of_json_becomes_a_finding() -> None:
    line = """{"key": "/var", "title": "/var is 96 %\\n full", "severity": "critical", "subject": "web-1:/var", "detail": "df",
               "evidence": {"used": [96, null]}, "reason": "disk_full", "recheck": "df /var"}""".replace("\n  ", "")
    assert said(QUIET, finished(f"looking\n{line}\n", exit_code=1)) == [
        Finding(
            entry="disk",
            subject="web-1:/var",
            key="/var",
            reason="disk_full",
            severity=Severity.CRITICAL,
            title="/var is 96 % full",
            detail="df",
            evidence={"used": [96, None]},
            recheck="df /var",
        )
    ]


def test_a_finding_needs_only_key_and_title() -> None:
    [finding] = said(script("x", severity="low", cwd="/srv/my app"), finished('{"key": "k", "title": "t"}'))
    assert finding == Finding(
        entry="disk", subject="disk", key="k", reason="reported", severity=Severity.LOW, title="t",
        recheck="cd '/srv/my app' && /bin/sh -c x",
    )  # fmt: skip


def test_a_script_may_answer_for_many_subjects() -> None:
    lines = (
        '{"ok": true, "subject": "a"}\n{"cannot_tell": "no route", "subject": "b"}\n{"key": "c", "title": "c", "subject": "c"}\n'
    )
    found = said(QUIET, finished(lines, exit_code=2))
    assert [(answer.subject, *kind) for answer, kind in zip(found, told(found), strict=True)] == [
        ("a", "Ok", "ok"), ("b", "CannotTell", "script_cannot_tell"), ("c", "Finding", "reported"),
    ]  # fmt: skip


def test_an_exit_code_without_a_finding_is_a_finding_with_the_last_of_stderr() -> None:
    [finding] = answers(script("seq 1 100 >&2; exit 4", severity="high"))
    assert isinstance(finding, Finding)
    assert (finding.key, finding.severity, finding.title) == ("exit_code", Severity.HIGH, "disk ended with exit code 4")
    assert finding.evidence == {"exit_code": 4, "stderr": "\n".join(map(str, range(81, 101)))}


def test_an_ok_line_does_not_hide_a_bad_exit_code() -> None:
    assert told(said(QUIET, finished('{"ok": true}', exit_code=1))) == [("Ok", "ok"), ("Finding", "exit_code")]


def test_other_exit_codes_may_be_fine() -> None:
    assert told(answers(script("exit 3", ok_exit_codes=[0, 3]))) == [("Ok", "ok")]


@pytest.mark.parametrize(
    ("code", "kind", "severity"),
    [
        (0, ("Ok", "ok"), None),
        (1, ("Finding", "nagios_warning"), Severity.MEDIUM),
        (2, ("Finding", "nagios_critical"), Severity.HIGH),
        (3, ("CannotTell", "nagios_unknown"), None),
        (64, ("CannotTell", "nagios_unknown"), None),
    ],
)
def test_a_monitoring_plugin_is_read_by_its_own_convention(code: int, kind: tuple[str, str], severity: Severity | None) -> None:
    [answer] = answers(script(f"echo 'DISK - 3 % free | /=97%;80;90'; exit {code}", nagios=True))
    text = {Ok: "summary", Finding: "title", CannotTell: "detail"}[type(answer)]
    assert (told([answer]), getattr(answer, "severity", None), getattr(answer, text)) == ([kind], severity, "DISK - 3 % free")


BROKEN = [
    ('{"key": "a", "title": }', 23, "one whole JSON object in the line (Expecting value)"),
    ('{"key": "a", "title": "b"', 26, "one whole JSON object in the line (Expecting ',' delimiter)"),
    ('{"key": "a", "title": "b"} and more', 28, "one whole JSON object in the line (Extra data)"),
    ("  {oops", 4, "one whole JSON object in the line (Expecting property name enclosed in double quotes)"),
    ('{"key": "a", "titel": "b"}', 1, "'title': Field required"),
    (
        '{"key": "a", "title": "b", "sevrity": "low"}',
        28,
        "no key 'sevrity', but only subject, evidence, recheck, key, title, sev",
    ),
    ('{"key": "a", "title": "b", "severity": "bad"}', 28, "'severity': Input should be 'info', 'low', 'medium', 'high' or 'crit"),
    ('{"key": 7, "title": "b"}', 2, "'key': Input should be a valid string"),
    ('{"key": "a", "title": "b", "evidence": {"x": NaN}}', 1, "JSON as RFC 8259 has it (NaN is not a JSON number)"),
    ('{"key": "a", "title": "b\\u0000"}', 1, "text without NUL characters"),
    ('{"key": "a", "title": "\\ud800"}', 1, "Unicode text without half a surrogate pair"),
    ('{"ok": false}', 2, "'ok': Input should be True"),
    ('{"key": "a", "title": "' + "b" * 301 + '"}', 14, "'title': String should have at most 300 characters"),
    ('{"a":' + "[" * 100_000, 1, "JSON as RFC 8259 has it (maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(("line", "column", "expected"), BROKEN)
def test_a_broken_line_is_an_answer_that_says_where_and_what_and_loses_no_finding(line: str, column: int, expected: str) -> None:
    good = '{{"key": "{0}", "title": "{0}"}}'
    before, broken, after = said(QUIET, finished(f"{good.format('x')}\n{line}\n{good.format('y')}\n"))
    assert [getattr(finding, "key", None) for finding in (before, after)] == ["x", "y"]
    assert isinstance(broken, CannotTell)
    assert (broken.reason, broken.stage) == ("broken_output", "output")
    assert broken.detail.startswith(f"line 2, column {column} of its output: expected {expected}")


def test_the_same_key_twice_is_broken_and_the_first_is_kept() -> None:
    first, second = said(QUIET, finished('{"key": "a", "title": "1"}\n{"key": "a", "title": "2"}\n'))
    assert (getattr(first, "title", None), second.reason) == ("1", "broken_output")


def test_a_broken_line_and_a_bad_exit_code_are_both_told() -> None:
    assert told(said(QUIET, finished("{", exit_code=1))) == [("CannotTell", "broken_output"), ("Finding", "exit_code")]


def test_a_script_that_hangs_keeps_what_it_found() -> None:
    found = answers(script("""echo '{"key": "a", "title": "t"}'; printf '{"key": "cut'; sleep 60""", timeout_seconds=0.5))
    assert told(found) == [("Finding", "reported"), ("CannotTell", "timeout")]
    assert getattr(found[1], "detail", "").startswith("did not end within 0.5 s; it was ended after ")


def test_a_script_that_floods_is_cut() -> None:
    artifacts = FakeArtifacts()
    [answer] = answers(script("yes", output_limit_kb=4), artifacts=artifacts)
    assert (answer.reason, getattr(answer, "detail", "")[:23]) == ("output_limit", "printed more than 4 KiB")
    assert len(artifacts.kept["disk.stdout.txt"]) == 4096


def test_a_script_that_crashes_cannot_tell() -> None:
    assert told(answers(script("kill -SEGV $$"))) == [("CannotTell", "ended_by_signal")]


@pytest.mark.parametrize("program", ["/no/such/script", "no-such-script", "/etc/passwd"])
def test_a_script_that_cannot_be_started_cannot_tell(program: str) -> None:
    [answer] = answers(CommandEntry(name="disk", argv=(program,)))
    assert isinstance(answer, CannotTell)
    assert (answer.reason, answer.stage, program in answer.detail) == ("cannot_start", "start", True)


def test_a_cancelled_run_stops() -> None:
    ctx = FakeContext(selected=[script("sleep 60")], commands=LocalCommands(), cancelled=CancelSwitch(after=2))
    with pytest.raises(Cancelled, match="disk: cancelled after"):
        run_check(JOB, ctx)


def test_output_is_kept_as_artifacts_whatever_its_bytes() -> None:
    artifacts = FakeArtifacts()
    assert told(answers(script(r"printf 'a\377b'; echo err >&2"), artifacts=artifacts)) == [("Ok", "ok")]
    assert artifacts.kept == {"disk.stdout.txt": "a\ufffdb".encode(), "disk.stderr.txt": b"err\n"}


def test_a_script_gets_the_allow_list_and_its_own_values_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_SECRET", CANARY)
    monkeypatch.setenv("OTHER", "other")
    monkeypatch.setenv("TZ", "UTC")
    [answer] = answers(script('[ "$TZ-$MINE-$OTHER-$NIGHTSHIFT_SECRET" = UTC-mine-- ]', env={"MINE": "mine"}))
    assert answer.reason == "ok"


LEAK = """
import json, os, sys
secret = os.environ["TOKEN"]
print("plain", secret); print(secret, file=sys.stderr)
print(json.dumps({"key": "k " + secret, "title": secret, "detail": secret, "subject": secret, "recheck": secret,
                  "evidence": {secret: [secret]}}))
print(json.dumps({"ok": True, "subject": secret}, ensure_ascii=False))
print(json.dumps({"cannot_tell": secret, "subject": "c"}))
print("{" + secret)
print(json.dumps({secret: 1}))
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", ["0", "1"])
@pytest.mark.parametrize("lines", [LEAK, LEAK.replace("print(json", "str(json")], ids=["json lines", "prose"])
def test_a_secret_of_the_script_appears_nowhere(code: str, lines: str, tmp_path: Path) -> None:
    (tmp_path / "leak.py").write_text(lines)
    entry = CommandEntry(name="leak", argv=(sys.executable, str(tmp_path / "leak.py"), code), env={"TOKEN": "env:CANARY"})
    artifacts = FakeArtifacts()
    found = answers(entry, secrets={"env:CANARY": CANARY}, artifacts=artifacts)
    everything = repr(found) + "".join(content.decode() for content in artifacts.kept.values())
    assert ("5e7c" in everything, "***" in everything, len(artifacts.secret)) == (False, True, 2)


def test_each_line_of_a_key_file_is_masked() -> None:
    artifacts = FakeArtifacts()
    entry = script('printf %s "$KEY" | tail -1', env={"KEY": "file:/key"})
    answers(entry, secrets={"file:/key": "first-line\nsecond-line\n"}, artifacts=artifacts)
    assert artifacts.kept == {"disk.stdout.txt": b"***\n"}


def test_what_a_script_is_passed_on_is_masked_like_a_secret_and_in_base64_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CF_API_TOKEN", "quiet?>night")
    artifacts = FakeArtifacts()
    entry = script('echo $CF_API_TOKEN; printf %s "$CF_API_TOKEN" | base64', pass_env=["PATH", "CF_API_TOKEN"])
    [answer] = answers(entry, artifacts=artifacts)
    assert isinstance(answer, Ok)
    assert (answer.summary, artifacts.secret) == ("***", {"disk.stdout.txt"})
    assert artifacts.kept["disk.stdout.txt"] == b"***\n***\n"


def test_what_is_everywhere_stays_to_be_read_though_a_script_is_passed_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_TIME", "en_GB.UTF-8")
    monkeypatch.setenv("DEBUG", "true")
    artifacts = FakeArtifacts()
    [answer] = answers(script("echo true $LC_TIME", pass_env=["LC_TIME", "DEBUG"]), artifacts=artifacts)
    assert isinstance(answer, Ok)
    assert (answer.summary, artifacts.secret) == ("true en_GB.UTF-8", set())


@pytest.mark.parametrize("limit_kb", [1, 2, 3, 4, 5, 6, 7])
def test_a_secret_that_was_cut_by_a_limit_is_masked(limit_kb: int) -> None:
    artifacts = FakeArtifacts()
    entry = script('while :; do printf "%s " "$TOKEN"; done', env={"TOKEN": "env:T"}, output_limit_kb=limit_kb)
    [answer] = answers(entry, secrets={"env:T": "abcdefghijklm"}, artifacts=artifacts)
    assert "abcd" not in repr(answer) + artifacts.kept["disk.stdout.txt"].decode()


def test_a_secret_at_the_end_of_a_quoted_broken_line_is_masked() -> None:
    entry = script("""printf '{%0195d%s' 0 "$TOKEN" """, env={"TOKEN": "env:T"})
    assert "abcd" not in repr(answers(entry, secrets={"env:T": "abcdefghijklm"}))


def test_a_secret_that_cannot_be_read_cannot_tell_and_nothing_runs(tmp_path: Path) -> None:
    entry = script(f"touch {tmp_path}/ran", env={"TOKEN": "env:MISSING"})
    assert told(answers(entry)) == [("CannotTell", "cannot_read_secret")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"argv": []}, "at least 1 item"),
        (
            {"argv": ["scripts/disk.sh"]},
            "the program 'scripts/disk.sh' is neither an absolute path nor a plain name to find on PATH",
        ),
        ({"argv": "df -h"}, "valid tuple"),
        ({"argv": ["df", "a\0b"]}, "may not hold a NUL character"),
        ({"pass_env": ["NIGHTSHIFT_DATABASE_URL"]}, "NIGHTSHIFT_DATABASE_URL is Nightshift's own and never handed on"),
        ({"env": {"A=B": "x"}}, "should match pattern"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"timeout_seconds": 3600}, "less than 3600"),
        ({"shell": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_entry_is_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CommandEntry.model_validate({"name": "disk", "argv": ["df"], **keys})


def test_a_command_never_comes_from_a_request() -> None:
    assert JOB.ad_hoc is False
    with pytest.raises(ValidationError):
        CommandParams.model_validate({"argv": ["id"]})
