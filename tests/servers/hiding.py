"""A PATH on which some programs cannot be found."""

import os
from collections.abc import Sequence
from pathlib import Path


def path_without(prefixes: Sequence[str], folder: Path) -> str:
    """Fill `folder` with links to all programs on PATH but those whose names start with one of `prefixes`."""
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if not program.name.startswith(tuple(prefixes)) and not link.is_symlink():
                link.symlink_to(program.absolute())
    return str(folder)
