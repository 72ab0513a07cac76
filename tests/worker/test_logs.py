import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from worker.logs import Format, bound, configure, get_log
from worker.redaction import PROCESS, Redactor, is_secret_name

CANARY = 'canary-4d1e"x\\y'


class Lines(io.StringIO):
    """A stream that reads back as what was logged."""

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Lines:
    found = Lines()
    configure("json", "info", found)
    return found


def test_a_line_is_json_with_event_level_logger_time_and_facts(lines: Lines) -> None:
    get_log("worker.x").info("run_claimed", fence=3)
    (line,) = lines.json
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "run_claimed", "level": "info", "logger": "worker.x", "fence": 3}


def test_lines_below_the_level_are_left_out(lines: Lines) -> None:
    get_log("x").debug("detail")
    logging.getLogger("uvicorn.error").debug("detail")
    assert lines.json == []


def test_bound_facts_are_on_every_line_of_the_block_also_of_libraries(lines: Lines) -> None:
    with bound(run_id="r1"):
        get_log("x").info("inside")
        logging.getLogger("celery.worker").warning("of %s", "celery")
    get_log("x").info("outside")
    assert [(line["event"], line.get("run_id")) for line in lines.json] == [
        ("inside", "r1"),
        ("of celery", "r1"),
        ("outside", None),
    ]


def test_uvicorn_says_things_once_and_without_colour(lines: Lines) -> None:
    logging.getLogger("uvicorn.access").info("GET", extra={"color_message": "\x1b[1mGET"})
    (line,) = lines.json
    assert "color_message" not in line


def test_warnings_become_log_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    assert lines.json[0]["logger"] == "py.warnings"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_remembered_secret_is_nowhere_in_a_line(log_format: Format) -> None:
    out = Lines()
    configure(log_format, "info", out)
    PROCESS.remember(CANARY)
    log = get_log("x")
    event = f"an event with {CANARY}"
    log.info(event, deep={"list": [1, (CANARY,)], CANARY: b"as bytes " + CANARY.encode()}, thing=Exception(CANARY))
    logging.getLogger("alembic").warning("ran %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        log.exception("failed")
        logging.getLogger("celery").exception("failed")
    assert out.getvalue().count("***") >= 6
    assert "canary-4d1e" not in out.getvalue()


def test_members_named_like_secrets_are_masked_whatever_they_hold(lines: Lines) -> None:
    get_log("x").info("e", smtp_password="a", headers={"Authorization": "b", "Accept": "c"}, clientSecret=["d"], pin=1234)
    (line,) = lines.json
    assert (line["smtp_password"], line["clientSecret"], line["pin"]) == ("***", "***", "***")
    assert line["headers"] == {"Authorization": "***", "Accept": "c"}


def test_passwords_in_urls_are_masked(lines: Lines) -> None:
    get_log("x").info("e", broker="redis://:hunter2@localhost/0", ledger="postgresql://me:hunter2@db/n?password=hunter2&a=1")
    (line,) = lines.json
    assert line["broker"] == "redis://:***@localhost/0"
    assert line["ledger"] == "postgresql://me:***@db/n?password=***&a=1"


def test_each_long_line_of_a_secret_of_many_lines_is_masked() -> None:
    redactor = Redactor()
    redactor.remember("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END KEY-----\n")
    assert redactor.redact("line 2 is MIIEvQIBADANBgkqhkiG, short") == "line 2 is ***, short"


def test_a_secret_in_base64_is_masked() -> None:
    redactor = Redactor()
    redactor.remember("quiet?>night")
    assert redactor.redact("Basic cXVpZXQ/Pm5pZ2h0, cXVpZXQ_Pm5pZ2h0") == "Basic ***, ***"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    redactor = Redactor()
    redactor.remember("abcd")
    redactor.remember("abcdefgh")
    assert redactor.redact("abcdefgh abcd") == "*** ***"


_SECRET = """password API_TOKEN pin pin_hash clientSecret authorization smtp.password api-key AWS_SECRET_ACCESS_KEY
    AWS_ACCESS_KEY_ID CF_API_TOKEN_2 PGPASSWORD apiKey GH_TOKEN"""
_PLAIN = """pinned tokens_used spin secretary key environment author keys monkey tokenizer key_file certificate_file token_file
    AWS_WEB_IDENTITY_TOKEN_FILE"""


@pytest.mark.parametrize("name", _SECRET.split())
def test_such_a_name_is_that_of_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", _PLAIN.split())
def test_such_a_name_is_not(name: str) -> None:
    assert not is_secret_name(name)
