"""n8n killed while it starts, waits and goes on; and the books of what became of every result."""

import functools
import random
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, Queue
from time import monotonic, sleep
from typing import Any

import httpx

from tests.n8n.stage import WORD, Stage, open_stage
from tests.n8n.waits import BACK, Counter, by_webhook, counting, made, post, start, wait
from tests.servers import N8nServer
from tests.support.waiting import until

PATH = "test/counted"
SETTLING_SECONDS = 200
_AT_ONCE = 6
_OVER = ("sent", "failed", "disabled")


@dataclass(frozen=True, slots=True)
class Result:
    """One batch with a callback, as both sides see it at the end."""

    batch: str
    state: str
    """Of its delivery, in Nightshift."""
    detail: str
    execution_id: str
    execution: str
    """Its status, in n8n."""
    passed: int
    """So often the workflow went past its Wait with this result."""

    def sort(self) -> str:
        """What became of it, or `trouble`."""
        match self.state, self.passed, self.execution:
            case "sent", 1, "success":
                return "resumed"
            case "sent", 0 | 1, "crashed":
                return "resumed, then killed"
            case "failed" | "disabled", 0, "crashed" if self.detail:
                return "undelivered"
            case "failed" | "disabled", 1, "crashed" if self.detail:
                return "undelivered, though past the Wait"
            case _:
                return "trouble"


SORTS = ("resumed", "resumed, then killed", "undelivered", "undelivered, though past the Wait")


@dataclass(frozen=True, slots=True)
class Books:
    """What both sides say."""

    results: Sequence[Result]
    executions: Mapping[str, str]
    """Of n8n: id to status."""
    strays: Sequence[str]
    """What went past a Wait with the result of another."""
    kills: int
    seconds: float

    def figures(self) -> Mapping[str, int]:
        sorts = Tally(result.sort() for result in self.results)
        return {sort: sorts[sort] for sort in SORTS}

    def reasons(self) -> Mapping[str, int]:
        """Why results were not delivered."""
        said = (result.detail.partition(" ")[2] for result in self.results if result.state != "sent")
        return dict(sorted(Tally(said).items()))

    @property
    def twice(self) -> int:
        return sum(result.passed > 1 for result in self.results)

    def troubles(self) -> list[str]:
        found = [f"{result}" for result in self.results if result.sort() == "trouble"]
        open_still = [
            f"execution {each} is {status}"
            for each, status in self.executions.items()
            if status in ("waiting", "running", "error")
        ]
        asked = {result.execution_id for result in self.results}
        silent = [
            f"execution {each} is {status}, and never asked"
            for each, status in self.executions.items()
            if each not in asked and status not in ("crashed", "new")
        ]
        short = len(self.results) - sum(self.figures().values()) - len(found)
        return [*found, *self.strays, *open_still, *silent, *([f"{short} results are in no column"] if short else [])]


@dataclass(eq=False)
class Storm:
    """Callbacks under way."""

    stage: Stage
    counter: Counter
    workflow: str
    kills: int = 0

    def rage(self, callbacks: int, kills: int, seed: int) -> Books:
        """Call the workflow so often, and kill n8n in the midst of it; then wait for the last result."""
        chance, began = random.Random(seed), monotonic()  # noqa: S311 - a storm that can be had again
        share = -(-callbacks // (kills + 1))
        calls: Queue[int] = Queue()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for first in range(0, callbacks, share):
                wave = range(first, min(first + share, callbacks))
                for number in wave:
                    calls.put(number)
                callers = [pool.submit(self._call, calls) for _ in range(_AT_ONCE)]
                if wave.stop < callbacks:
                    self._kill(chance, len(wave))
                for caller in callers:
                    caller.result(SETTLING_SECONDS)
        self.settle()
        return self.books(monotonic() - began)

    def _kill(self, chance: random.Random, wave: int) -> None:
        """Early in a wave, in the midst of it, or when most of it is done; and not always at once."""
        goal = len(self.counter.posts) + chance.randint(0, wave * 3 // 4)
        self.counter.reached(goal, timeout=30)
        sleep(chance.uniform(0, 0.3))
        self.stage.n8n.kill9()
        self.kills += 1
        self.stage.n8n.start()

    def _call(self, calls: "Queue[int]") -> None:
        """As whoever starts workflows: until n8n says that it has started."""
        with httpx.Client(timeout=60, trust_env=False) as client:
            while True:
                try:
                    number = calls.get_nowait()
                except Empty:
                    return
                while not self._called(client, number):
                    sleep(0.1)

    def _called(self, client: httpx.Client, number: int) -> bool:
        try:
            answer = client.post(
                f"{self.stage.n8n.url}/webhook/{PATH}", json={"number": number}, headers={"X-Nightshift-Webhook": WORD}
            )
        except httpx.TransportError:
            return False
        # While it migrates its database, n8n answers 200 to everything.
        return answer.is_success and "Workflow was started" in answer.text

    def settle(self) -> None:
        """Until every run has ended, nothing is sent any more, and n8n has gone on with what it took."""

        def left() -> str:
            return "\n".join(self._under_way())

        until("every result is sent or given up", lambda: not left(), SETTLING_SECONDS, more=left)
        with suppress(TimeoutError):  # the books name what n8n never went on with
            until("n8n goes on with what it took", lambda: not self._taken(), SETTLING_SECONDS)

    def _taken(self) -> list[str]:
        """Executions whose result was delivered, and that are not over."""
        executions = self.executions()
        delivered = [self.execution_of(batch) for batch, row in self.deliveries().items() if row["state"] == "sent"]
        return [each for each in delivered if executions.get(each) in ("new", "running", "waiting")]

    @functools.cache  # noqa: B019 - of one test
    def execution_of(self, batch: str) -> str:
        """Which execution asked for it."""
        return str(self.stage.ana.get(f"/v1/batches/{batch}").json()["note"])

    def _under_way(self) -> list[str]:
        found = self.deliveries()
        none = {"state": "no delivery", "attempts": 0, "detail": ""}
        rows = [(batch, found.get(batch, none)) for batch in self._batches()]
        return [
            f"{batch}: {row['state']} after {row['attempts']}: {row['detail']}"
            for batch, row in rows
            if row["state"] not in _OVER
        ]

    def deliveries(self) -> dict[str, dict[str, Any]]:
        return {row["subject"]: row for row in self._pages("/v1/deliveries?kind=callback", "deliveries")}

    def _batches(self) -> list[str]:
        return [row["batch_id"] for row in self._pages("/v1/runs?job=command", "runs")]

    def _pages(self, path: str, member: str) -> Iterator[dict[str, Any]]:
        before = ""
        while True:
            page = self.stage.ana.get(f"{path}&limit=1000{before}").json()
            yield from page[member]
            if page["next"] is None:
                return
            before = f"&before={page['next']}"

    def books(self, seconds: float) -> Books:
        told, executions = self.deliveries(), self.executions()
        passed = Tally(one["batch"] for one in self.counter.posts)
        strays = [f"{one} went on with the result of another" for one in self.counter.posts if one["batch"] != one["started"]]
        results = []
        for batch in self._batches():
            row, by = told[batch], self.execution_of(batch)
            results.append(Result(batch, row["state"], row["detail"], by, executions.get(by, "gone"), passed[batch]))
        return Books(results, executions, strays, self.kills, seconds)

    def executions(self) -> dict[str, str]:
        """Asked one by one: the list leaves out those that wait."""
        newest = max((int(row["id"]) for row in self.stage.n8n.api("GET", "/executions?limit=1")["data"]), default=0)
        found = {}
        for number in range(1, newest + 1):
            answer = httpx.get(
                f"{self.stage.n8n.url}/api/v1/executions/{number}",
                headers={"X-N8N-API-KEY": self.stage.n8n.api_key},
                timeout=60,
                trust_env=False,
            )
            if answer.is_success and answer.json()["workflowId"] == self.workflow:
                found[str(number)] = answer.json()["status"]
        return found


@contextmanager
def storm(n8n: N8nServer, folder: Path) -> Iterator[Storm]:
    """`n8n` must be empty."""
    with open_stage(n8n, folder, bare=True) as stage, counting() as counter:
        asked = f"{{ job: 'command', params: {{ entries: ['fine'] }}, note: $execution.id, callback_url: {BACK} }}"
        seen = "{ execution: $execution.id, batch: $json.body.batch.id, started: $('Start').first().json.batch.id }"
        nodes = [by_webhook(PATH), start(stage, asked), wait(), post("Count", counter.url, seen)]
        workflow = made(stage, "Counted", nodes)
        n8n.api("POST", f"/workflows/{workflow}/activate", {})
        yield Storm(stage, counter, workflow)


def report(now: datetime, machine: str, books: Books) -> str:
    """As Markdown."""
    shown = " | ".join(str(books.figures()[sort]) for sort in SORTS)
    lines = [
        f"# Soak of callbacks, {now:%d %B %Y, %H:%M} UTC",
        "",
        f"{machine}.",
        "",
        f"| kills of n8n | results | {' | '.join(SORTS)} | delivered twice | minutes |",
        f"| ---: | ---: |{' ---: |' * len(SORTS)} ---: | ---: |",
        f"| {books.kills} | {len(books.results)} | {shown} | {books.twice} | {books.seconds / 60:.1f} |",
        "",
        "Kills are SIGKILLs of n8n with everything that it started, while it starts executions, waits and goes on.",
        "*Resumed*: the Wait took the result, and the workflow went past it once. *Resumed, then killed*: the Wait took it, and",
        "n8n was killed before the execution had ended; n8n shows it as crashed. *Undelivered*: n8n was killed before the",
        "Wait was stored or while it took the result; Nightshift lists it with its reason, and the result stays in its batch.",
        "*Undelivered, though past the Wait*: n8n was killed after it took the result and before it said so.",
        "*Delivered twice*: results with which a workflow went past a Wait more than once.",
        "",
        "## Why undelivered",
        "",
        *([f"- {many}: {why}" for why, many in books.reasons().items()] or ["None was."]),
        "",
        "## Troubles",
        "",
        *([f"- {trouble}" for trouble in books.troubles()] or ["None."]),
        "",
    ]
    return "\n".join(lines)
