"""The job of the queue's tests: stays at its gate until the test opens it, and does as its entry says."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tasks.context import Context, Entry
from tasks.errors import Cancelled
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Ok

GATES = "GATES"
"""Environment variable that names the folder: `<run>.pid` appears when a run works, `<run>.open` lets it go on."""


class Gate(Entry):
    """What a run is to do."""

    waits: bool = False
    deaf: bool = False
    """Does not look whether it is to stop, nor mind being interrupted."""
    ends: Literal["ok", "cannot_tell", "error"] = "ok"


class GateParams(Params):
    """A parameter with a name that is not shown."""

    api_token: str = ""
    note: str = ""


def check(ctx: Context, params: GateParams) -> Iterator[Answer]:
    for gate in ctx.entries(Gate):
        _wait(ctx, gate)
        match gate.ends:
            case "error":
                raise ValueError("the gate is rusty")
            case "cannot_tell":
                yield CannotTell(entry=gate.name, subject=gate.name, reason="fog", stage="look", detail="fog")
            case _:
                yield Ok(entry=gate.name, subject=gate.name)


def _wait(ctx: Context, gate: Gate) -> None:
    folder = Path(os.environ[GATES])
    (folder / f"{ctx.run_id}.pid").write_text(str(os.getpid()))
    while gate.waits and not (folder / f"{ctx.run_id}.open").exists():
        if not gate.deaf and ctx.cancelled():
            raise Cancelled
        _sleep(gate)


def _sleep(gate: Gate) -> None:
    try:
        time.sleep(0.02)
    except BaseException:
        if not gate.deaf:
            raise


GATE = Job(name="gate", summary="Stays at its gate", check=check, params=GateParams, entry=Gate, ad_hoc=True)
HASTY = replace(GATE, name="hasty", time_limit=timedelta(seconds=3))
"""The same in a hurry."""
