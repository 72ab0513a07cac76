import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tasks.context import SecretReader
from tasks.errors import ProviderError
from worker.logs import configure
from worker.redaction import Redactor
from worker.secrets import SecretError, Secrets


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def secrets(tmp_path: Path, redactor: Redactor) -> Secrets:
    return Secrets(environ={"SMTP": "hunter22", "EMPTY": ""}, home=tmp_path, redactor=redactor)


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure("json", "info", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_a_variable_is_read_and_redacted_from_then_on(secrets: Secrets, redactor: Redactor) -> None:
    assert redactor.redact("hunter22") == "hunter22"
    reader: SecretReader = secrets
    assert reader("env:SMTP") == "hunter22"
    assert redactor.redact("it is hunter22") == "it is ***"


def test_a_file_is_relative_to_home_and_loses_its_last_newline_only(secrets: Secrets, tmp_path: Path) -> None:
    (tmp_path / "pem").write_text(" two\nlines \n\n", encoding="utf-8")
    (tmp_path / "pem").chmod(0o600)
    assert secrets("file:pem") == " two\nlines \n"
    assert secrets(f"file:{tmp_path}/pem") == " two\nlines \n"


def test_a_file_that_others_can_read_is_warned_of(secrets: Secrets, tmp_path: Path, logged: io.StringIO) -> None:
    (tmp_path / "open").write_text("hunter22", encoding="utf-8")
    (tmp_path / "open").chmod(0o644)
    secrets("file:open")
    assert '"event": "secret_file_open_to_others"' in logged.getvalue()
    assert "hunter22" not in logged.getvalue()


def test_a_private_file_is_not_warned_of(secrets: Secrets, tmp_path: Path, logged: io.StringIO) -> None:
    (tmp_path / "mine").write_text("hunter22", encoding="utf-8")
    (tmp_path / "mine").chmod(0o600)
    secrets("file:mine")
    assert logged.getvalue() == ""


def test_a_further_scheme_is_one_more_function(tmp_path: Path, redactor: Redactor) -> None:
    secrets = Secrets(environ={}, home=tmp_path, schemes={"vault": lambda name: f"from {name}"}, redactor=redactor)
    assert secrets("vault:kv/db#password") == "from kv/db#password"
    assert redactor.redact("from kv/db#password") == "***"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:NOPE", "env:NOPE: the variable NOPE is not set"),
        ("env:EMPTY", "env:EMPTY: the secret is empty"),
        ("file:nope", "file:nope: cannot be read: No such file or directory"),
        ("file:folder", "file:folder: cannot be read: Is a directory"),
        ("file:binary", "file:binary: not UTF-8 text"),
        ("vault:x", "not a secret reference; accepted: env:…, file:…"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_reference(secrets: Secrets, tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match=message) as caught:
        secrets(reference)
    assert isinstance(caught.value, ProviderError)
    assert (caught.value.stage, caught.value.retryable) == ("secret", False)


def test_a_value_given_in_place_of_a_reference_is_not_repeated(secrets: Secrets) -> None:
    with pytest.raises(SecretError) as caught:
        secrets("hunter22")
    assert "hunter22" not in str(caught.value)
