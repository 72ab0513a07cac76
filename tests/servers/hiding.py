"""A PATH on which some programs cannot be found."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def path_without(*prefixes: str) -> Iterator[str]:
    """A folder of links to all programs on PATH but those whose names start with one of `prefixes`."""
    with tempfile.TemporaryDirectory(prefix="nightshift-path-") as name:
        folder = Path(name)
        # Servers that run as a user of their own look for programs in it.
        folder.chmod(0o755)
        _link_programs(folder, prefixes)
        yield name


def _link_programs(folder: Path, left_out: Sequence[str]) -> None:
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if not program.name.startswith(tuple(left_out)) and not link.is_symlink():
                link.symlink_to(program.absolute())
