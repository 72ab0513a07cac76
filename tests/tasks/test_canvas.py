"""What cannot be compared is never green; what differs is shown by the tests of the shipped workflows on a real n8n."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.canvas import JOB, CanvasEntry
from tasks.job import Params
from tasks.model import Answer, CannotTell
from tasks.testing import FakeContext, FakeSecrets
from tests.servers.process import free_port


def look(folder: Path, url: str, **secrets: str) -> list[Answer]:
    entry = CanvasEntry(name="n8n", url=url, api_key="env:KEY", folder=folder)
    return list(JOB.check(FakeContext(job=JOB.name, selected=[entry], secrets=FakeSecrets(secrets)), Params()))


def cannot_tell(answers: list[Answer]) -> tuple[str, str]:
    (answer,) = answers
    assert isinstance(answer, CannotTell)
    assert answer.reason == "cannot_compare"
    return answer.stage, answer.detail


@pytest.fixture
def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_an_n8n_that_is_down_is_no_drift(tmp_path: Path, nobody: str) -> None:
    stage, detail = cannot_tell(look(tmp_path, nobody, **{"env:KEY": "key"}))
    assert stage == "n8n"
    assert f"n8n at {nobody} does not answer" in detail


def test_a_folder_that_is_not_there_is_no_drift(tmp_path: Path, nobody: str) -> None:
    stage, detail = cannot_tell(look(tmp_path / "gone", nobody, **{"env:KEY": "key"}))
    assert (stage, detail) == ("files", f"{tmp_path / 'gone'}: no such file or folder")


def test_a_key_that_cannot_be_read_is_no_drift(tmp_path: Path, nobody: str) -> None:
    stage, _ = cannot_tell(look(tmp_path, nobody))
    assert stage == "secret"


def test_an_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="url"):
        CanvasEntry(name="n8n", url="ftp://n8n", api_key="env:KEY", folder=tmp_path)
