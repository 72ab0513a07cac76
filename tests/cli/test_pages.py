"""The pages that are made from the code are current."""

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.cli.pages import DOCS, PAGES


@pytest.mark.parametrize(("name", "page"), PAGES.items())
def test_the_page_is_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    assert Path(DOCS / name).read_text(encoding="utf-8") == page(), "run `python -m worker.cli.pages`"
