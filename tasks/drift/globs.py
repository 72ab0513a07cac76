"""Globs of rules: `*` stands for any text, every other character for itself."""

import re
from functools import lru_cache


def fits(text: str, glob: str) -> bool:
    return _pattern(glob).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", glob))), re.DOTALL)
