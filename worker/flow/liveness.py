"""Who does a step, as its intent tells it: the process that the ledger names, and whether it still lives."""

import os
from collections.abc import Mapping
from dataclasses import asdict

from tasks.context import Process
from tasks.model import Json
from tasks.providers.processes import describe, lives

_WORKER = "worker"


def ourselves() -> dict[str, Json]:
    """This process, for the intent of a step."""
    return dict(asdict(describe(os.getpid())))


def under(keeper: Process) -> dict[str, Json]:
    """A program's keeper, and this process that waits for it: the step goes on while either lives."""
    return {**asdict(keeper), _WORKER: ourselves()}


def left_to(keeper: Process) -> dict[str, Json]:
    """A program's keeper alone: this process does not wait for it any more."""
    return dict(asdict(keeper))


def without_us(process: Mapping[str, Json]) -> Mapping[str, Json]:
    """Who is left of them when this process stops doing the step: a program's keeper, nobody, or others."""
    if process == ourselves():
        return {}
    if process.get(_WORKER) == ourselves():
        return {name: value for name, value in process.items() if name != _WORKER}
    return process


def alive(process: Mapping[str, Json]) -> bool | None:
    """Whether anybody still does the step; None: a host that cannot be asked. Nobody is named: nobody does."""
    named = [process, process.get(_WORKER)] if process else []
    answers = [lives(_process(one)) for one in named if isinstance(one, Mapping)]
    if True in answers:
        return True
    return None if None in answers else False


def told(process: Mapping[str, Json]) -> str:
    """`process 4711 on web-1`."""
    return f"process {process.get('pid')} on {process.get('host')}"


def _process(facts: Mapping[str, Json]) -> Process:
    pid = facts.get("pid", 0)
    return Process(
        host=str(facts.get("host", "")),
        boot_id=str(facts.get("boot_id", "")),
        pid_namespace=str(facts.get("pid_namespace", "")),
        pid=pid if isinstance(pid, int) else 0,
        started=str(facts.get("started", "")),
    )
