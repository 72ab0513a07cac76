"""The fake cloud: one JSON file an object, a file of knobs, and a book in which every call is written down.

Any number of provider processes share the folder: objects and knobs are replaced whole, the book is only appended to.
"""

import fcntl
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Json = Any
Properties = dict[str, Json]
HOME_ACCOUNT = "main"
ELSEWHERE = "somebody-else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How the cloud behaves, for every account or one. All off by default."""

    read_seconds: float = 0.0
    write_seconds: float = 0.0
    """Before a write happens."""
    answer_seconds: float = 0.0
    """After a write happened, before it is answered."""
    requests_per_second: float = 0.0
    """Throttle of the whole account, over all processes; 0: none."""
    throttle_patience_seconds: float = 3600.0
    """A request that would wait longer is refused (429) at once."""
    rejects: Literal["", "configure", "read"] = ""
    """Credentials are refused (401) there."""
    expires_after_reads: int = -1
    """Credentials of one provider process last that many reads; -1: for ever."""
    wrong_account: bool = False
    """Credentials of somebody else's account: every read finds nothing, and no error says so."""
    accept_secrets: bool = True
    """The provider tells the engine that it keeps secrets apart, and marks those it knows of in what it reads."""
    noise: bool = False
    """Output-only properties (`lastSeen`, `etag`) differ at every read."""
    unsettled: Mapping[str, str] = field(default_factory=dict)
    """Id to the name of an input property that reads differently each time."""
    failing: Sequence[str] = ()
    """Ids whose read fails (403)."""
    failing_writes: Sequence[str] = ()
    """Ids, or names of resources to come, whose write fails (500) before anything happened."""
    partial_writes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Id to the properties that an update still writes before it fails (500)."""
    crashes: Mapping[str, Literal["before", "after"]] = field(default_factory=dict)
    """Id, or name of a resource to come: the provider dies before or after that write."""
    dies_reading: Sequence[str] = ()
    """Ids at whose read the provider dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the book says."""

    read: int = 0
    create: int = 0
    update: int = 0
    delete: int = 0

    @property
    def writes(self) -> int:
        return self.create + self.update + self.delete


class Cloud:
    """The folder. Methods named like a console's buttons act behind Pulumi's back and are not in the book."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        self._answers = folder / "answers"
        self._book = folder / "book.jsonl"
        self._knobs = folder / "knobs.json"
        self._turning = threading.Lock()
        for made in (self.objects, self._answers):
            made.mkdir(parents=True, exist_ok=True)

    # What a test does

    def turn(self, account: str = "*", **knobs: Json) -> None:
        """Set knobs for one account, or for all that have none of their own; what is not named keeps its value."""
        with self._turning:
            turned = self._turned()
            Knobs(**{**turned.get(account, {}), **knobs})  # an unknown name is an error here, not in a provider's process
            turned[account] = {**turned.get(account, {}), **knobs}
            _put(self._knobs, turned)

    def reset(self) -> None:
        """Every knob off, every prepared answer gone."""
        self._knobs.unlink(missing_ok=True)
        for prepared in self._answers.glob("*/*.json"):
            prepared.unlink(missing_ok=True)

    def ids(self, account: str = HOME_ACCOUNT) -> list[str]:
        return sorted(path.stem for path in (self.objects / account).glob("*.json"))

    def get(self, object_id: str, account: str = HOME_ACCOUNT) -> Properties | None:
        found: Properties | None = _get(self._place(account, object_id))
        return found

    def change(self, object_id: str, account: str = HOME_ACCOUNT, *, seen_after_reads: int = 0, **properties: Json) -> None:
        """Someone edits an object by hand; None takes a property away. `seen_after_reads` reads still see the old one."""
        before = self.get(object_id, account)
        assert before is not None, f"the cloud has no {object_id}"
        if seen_after_reads:
            self.answer(object_id, *[before] * seen_after_reads, account=account)
        after = {name: value for name, value in {**before, **properties}.items() if value is not None}
        _put(self._place(account, object_id), after)

    def remove(self, object_id: str, account: str = HOME_ACCOUNT) -> None:
        """Someone deletes an object by hand."""
        self._place(account, object_id).unlink()

    def answer(self, object_id: str, *answers: Properties | None, account: str = HOME_ACCOUNT) -> None:
        """The next reads of an object get these answers (None: there is none), whatever is true."""
        _put(self._answers / account / f"{object_id}.json", list(answers))

    def counts(self, account: str | None = None) -> Counts:
        """How often providers read and wrote."""
        return Counts(**Counter(line["verb"] for line in self.book() if account in {None, line["account"]}))

    def book(self) -> list[dict[str, Json]]:
        """Every call that providers made, oldest first."""
        return [json.loads(line) for line in self._book.read_text().splitlines()] if self._book.exists() else []

    # What a provider does

    def knobs(self, account: str) -> Knobs:
        turned = self._turned()
        return Knobs(**{**turned.get("*", {}), **turned.get(account, {})})

    def read(self, account: str, object_id: str) -> Properties | None:
        self.note("read", account, object_id)
        prepared = self._answers / account / f"{object_id}.json"
        answers: list[Properties | None] = _get(prepared) or []
        if not answers:
            return self.get(object_id, account)
        _put(prepared, answers[1:]) if answers[1:] else prepared.unlink(missing_ok=True)
        return answers[0]

    def create(self, account: str, wanted_id: str, properties: Properties) -> str:
        """Its id: the one wanted, unless that is taken."""
        object_id, number = wanted_id, 1
        while self._place(account, object_id).exists():
            number += 1
            object_id = f"{wanted_id}-{number}"
        self.note("create", account, object_id)
        _put(self._place(account, object_id), properties)
        return object_id

    def update(self, account: str, object_id: str, properties: Properties) -> None:
        self.note("update", account, object_id)
        _put(self._place(account, object_id), properties)

    def delete(self, account: str, object_id: str) -> None:
        self.note("delete", account, object_id)
        self._place(account, object_id).unlink(missing_ok=True)

    def wait_for_throttle(self, account: str, knobs: Knobs) -> float:
        """Seconds until the account's throttle lets this request through; -1 where it is refused."""
        if not knobs.requests_per_second:
            return 0.0
        with _locked(self.folder / f"throttle-{account}") as file:
            now = time.monotonic()
            free = max(now, float(file.read() or 0))
            if free - now > knobs.throttle_patience_seconds:
                return -1.0
            file.seek(0)
            file.write(f"{free + 1 / knobs.requests_per_second:.6f}")
            return free - now

    def note(self, verb: str, account: str, object_id: str) -> None:
        line = json.dumps({"verb": verb, "account": account, "id": object_id, "pid": os.getpid(), "at": time.time()})
        with self._book.open("ab", buffering=0) as book:
            book.write(line.encode() + b"\n")

    def _place(self, account: str, object_id: str) -> Path:
        return self.objects / account / f"{object_id}.json"

    def _turned(self) -> dict[str, dict[str, Json]]:
        return _get(self._knobs) or {}


def _get(path: Path) -> Json:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _put(path: Path, value: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value))
    partial.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[Any]:
    path.touch()
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
