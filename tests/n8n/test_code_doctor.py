"""`doctor n8n`: what answers there, and the variables that it was started with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.providers.n8n.advisories import affecting, floor, parsed
from tests.n8n.bench import Bench, Line
from tests.servers import N8nServer
from tests.servers.process import free_port

WELL = {
    "GENERIC_TIMEZONE": "Europe/Zurich",
    "N8N_ENCRYPTION_KEY": "a-random-word-of-more-than-24-characters",
    "N8N_SSRF_ALLOWED_IP_RANGES": "10.0.0.0/8, 127.0.0.1/32",
    "N8N_SSRF_PROTECTION_ENABLED": "true",
    "WEBHOOK_URL": "http://127.0.0.1:5678/",
}


@pytest.fixture
def nobody(tmp_path: Path) -> Line:
    """The command line of a home whose n8n does not answer."""
    return Line({"NIGHTSHIFT_HOME": str(tmp_path), "NIGHTSHIFT_N8N_URL": f"http://127.0.0.1:{free_port()}"})


@pytest.fixture
def in_development(_n8n: N8nServer) -> Iterator[N8nServer]:
    """An n8n as it starts when nobody says otherwise."""
    server = N8nServer()
    server.more_environment["NODE_ENV"] = "development"
    with server:
        yield server


def found(cli: Line, *options: str, code: int = 0) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in cli.json("doctor", "n8n", *options, code=code)}


def of_variables(cli: Line, place: Path, name: str, **changed: str) -> tuple[str, str]:
    place.write_text("".join(f"{key}={value}\n" for key, value in {**WELL, **changed}.items()))
    seen = found(cli, "--environ", str(place), code=1)[name]
    return seen["state"], seen["found"] + " " + seen["advice"]


def test_the_tested_version_is_told_apart_from_the_advised_floor(bench: Bench) -> None:
    seen = found(bench.cli)
    assert seen["n8n tested version"] == {"name": "n8n tested version", "state": "ok", "found": "2.15.1", "advice": ""}
    floor_line = seen["n8n advised floor"]
    assert floor_line["state"] == "warn"
    assert "GHSA-h3jj-5f3v-3685: an API key that may only read can retry executions" in floor_line["found"]
    assert "2.25.7 or 2.26.2, or newer" in floor_line["advice"]


def test_a_running_n8n_in_production_mode_takes_our_key(bench: Bench) -> None:
    seen = found(bench.cli)
    assert {name for name, each in seen.items() if each["state"] == "ok"} == {
        "n8n",
        "n8n tested version",
        "n8n API key",
        "n8n production mode",
    }


@pytest.mark.slow
def test_an_n8n_that_shows_stack_traces_to_callers_fails(bench: Bench, in_development: N8nServer) -> None:
    seen = found(bench.cli.with_environ(NIGHTSHIFT_N8N_URL=in_development.url), code=1)
    assert (seen["n8n production mode"]["state"], seen["n8n production mode"]["advice"]) == (
        "fail",
        "start n8n with NODE_ENV=production",
    )


def test_a_key_that_n8n_does_not_know_fails_and_is_not_shown(bench: Bench) -> None:
    told = bench.cli.with_environ(OPERATORS_KEY="a-wrong-key")("doctor", "n8n", code=1)
    assert "does not know this API key" in " ".join(told.split())
    assert "a-wrong-key" not in told


def test_an_n8n_that_does_not_answer_fails_and_its_version_is_not_guessed(nobody: Line) -> None:
    seen = found(nobody, code=1)
    assert seen["n8n"]["state"] == "fail"
    assert "does not answer" in seen["n8n"]["found"]
    assert seen.keys().isdisjoint({"n8n tested version", "n8n advised floor", "n8n production mode"})


def test_without_a_named_n8n_the_doctor_says_which_setting_names_it(tmp_path: Path) -> None:
    assert "NIGHTSHIFT_N8N_URL" in found(Line({"NIGHTSHIFT_HOME": str(tmp_path)}), code=1)["n8n"]["advice"]


def test_variables_that_were_not_looked_at_are_never_well(nobody: Line) -> None:
    seen = found(nobody, code=1)
    for name in ("encryption key", "SSRF protection", "WEBHOOK_URL", "time zone"):
        assert (seen[f"n8n {name}"]["state"], seen[f"n8n {name}"]["found"][:11]) == ("warn", "cannot tell")


def test_the_variables_of_a_running_process_are_read_as_linux_keeps_them(bench: Bench) -> None:
    seen = found(bench.cli, "--environ", f"/proc/{bench.n8n.pid}/environ")
    assert [(name, seen[f"n8n {name}"]["state"]) for name in ("encryption key", "WEBHOOK_URL", "time zone")] == [
        ("encryption key", "ok"),
        ("WEBHOOK_URL", "ok"),
        ("time zone", "ok"),
    ]
    assert seen["n8n SSRF protection"]["state"] == "warn"


@pytest.mark.parametrize("name", ["encryption key", "SSRF protection", "WEBHOOK_URL", "time zone"])
def test_good_variables_are_well(nobody: Line, tmp_path: Path, name: str) -> None:
    assert of_variables(nobody, tmp_path / "env", f"n8n {name}")[0] == "ok"


@pytest.mark.parametrize(
    ("name", "changed", "state", "words"),
    [
        ("encryption key", {"N8N_ENCRYPTION_KEY": ""}, "warn", "no saved credential can be read again"),
        ("encryption key", {"N8N_ENCRYPTION_KEY": "short"}, "warn", "of 5 characters"),
        ("SSRF protection", {"N8N_SSRF_PROTECTION_ENABLED": "false"}, "warn", "off: whoever edits a workflow"),
        (
            "SSRF protection",
            {"N8N_SSRF_ALLOWED_IP_RANGES": "10.0.0.0/8"},
            "fail",
            "nothing lets through to http://127.0.0.1:8321",
        ),
        ("SSRF protection", {"N8N_SSRF_ALLOWED_IP_RANGES": "here"}, "fail", "N8N_SSRF_ALLOWED_IP_RANGES, such as 127.0.0.1/32"),
        ("WEBHOOK_URL", {"WEBHOOK_URL": ""}, "warn", "set WEBHOOK_URL to where the gateway reaches n8n"),
        ("WEBHOOK_URL", {"WEBHOOK_URL": "https://n8n.example.com/"}, "fail", "setting callback_hosts"),
        ("WEBHOOK_URL", {"WEBHOOK_URL": "n8n.example.com"}, "fail", "accepted is http://"),
        ("time zone", {"GENERIC_TIMEZONE": ""}, "warn", "go by America/New_York"),
        ("time zone", {"GENERIC_TIMEZONE": "Mars/Olympus"}, "fail", "Mars/Olympus is no time zone"),
    ],
)
def test_a_variable_that_harms_says_why_and_what_to_set(
    nobody: Line, tmp_path: Path, name: str, changed: dict[str, str], state: str, words: str
) -> None:
    seen = of_variables(nobody, tmp_path / "env", f"n8n {name}", **changed)
    assert seen[0] == state
    assert words in seen[1]


def test_the_encryption_key_is_never_shown(nobody: Line, tmp_path: Path) -> None:
    place = tmp_path / "env"
    for key in (WELL["N8N_ENCRYPTION_KEY"], "canary"):
        place.write_text(f"export N8N_ENCRYPTION_KEY='{key}'\n")
        assert key not in nobody("doctor", "n8n", "--environ", str(place), code=1)


def test_a_gateway_known_by_name_is_let_through_by_name(nobody: Line, tmp_path: Path) -> None:
    cli = nobody.with_environ(NIGHTSHIFT_N8N_GATEWAY_URL="http://gateway:8321")
    assert of_variables(cli, tmp_path / "env", "n8n SSRF protection", N8N_SSRF_ALLOWED_HOSTNAMES="other, gateway")[0] == "ok"
    assert of_variables(cli, tmp_path / "env", "n8n SSRF protection")[0] == "warn"


@pytest.mark.parametrize(
    ("version", "ids"),
    [
        ("1.120.0", ["CVE-2026-21858", "CVE-2026-42226", "CVE-2026-49444", "GHSA-h3jj-5f3v-3685"]),
        ("2.15.1", ["CVE-2026-42226", "CVE-2026-49444", "GHSA-h3jj-5f3v-3685"]),
        ("2.25.6", ["GHSA-h3jj-5f3v-3685"]),
        ("2.25.7", []),
        ("2.26.1", ["GHSA-h3jj-5f3v-3685"]),
        ("2.27.0", []),
    ],
)
def test_a_fault_affects_each_line_of_releases_until_its_own_mended_one(version: str, ids: list[str]) -> None:
    release = parsed(version)
    assert release is not None
    assert [each.id for each in affecting(release)] == ids
    assert floor() == ("2.25.7", "2.26.2")


def test_a_version_that_is_no_release_is_not_judged() -> None:
    assert [parsed(text) for text in ("nightly", "2.26", "2.26.2-rc.1")] == [None, None, None]
