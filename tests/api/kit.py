"""A gateway over a real ledger, with two jobs and an estate of two environments: the parts."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from schedules.schedule import Schedule
from tasks.context import Context, Entry
from tasks.job import Job, Params
from tasks.model import Answer, CannotTell, Finding, Ok, Severity
from tasks.testing.fakes import FakeClock, FakeCommands, FakeSecrets, FakeTls
from tasks.testing.stacks import FakeStacks
from tests.support.waiting import until
from worker.flow import Shift, execute_run
from worker.flow.shift import Estate, Pace, Providers
from worker.flow.signing_in import make_login_link
from worker.ledger import Ledger, people, runs
from worker.ledger.rows import new_id
from worker.records import Actor, ActorKind, Run, TokenRow
from worker.settings import Settings
from worker.tokens import Grant, Keys, grants_of_role, hash_token, new_api_token

ADMIN = grants_of_role("admin")
CLI = Actor(ActorKind.CLI, "test")
BERLIN = ZoneInfo("Europe/Berlin")


class Lock(Entry):
    """A door to rattle at."""

    open: bool = False
    jammed: bool = False


class RattleParams(Params):
    """How hard."""

    force: int = 1


def rattle(ctx: Context, params: RattleParams) -> Iterator[Answer]:
    ctx.log.info("rattling", force=params.force)
    ctx.artifacts.put("round.txt", b"every door")
    ctx.artifacts.put("keys.txt", b"under the mat", secret=True)
    for lock in ctx.entries(Lock):
        if lock.jammed:
            yield CannotTell(entry=lock.name, subject=lock.name, reason="jammed", stage="turn", detail="it does not turn")
        elif lock.open:
            yield Finding(
                entry=lock.name,
                subject=f"door {lock.name}",
                key="open",
                reason="door_open",
                severity=Severity.HIGH,
                title=f"Door {lock.name} is open",
                evidence={"seen": "light", "<b>bold</b>": {"deep": ["</script>"]}},
                recheck=f"rattle {lock.name}",
            )
        else:
            yield Ok(entry=lock.name, subject=f"door {lock.name}")


def whistle(ctx: Context, params: Params) -> Iterator[Answer]:
    yield Ok(entry=ctx.job, subject=ctx.job)


JOBS: dict[str, Job[Any]] = {
    "doors": Job(
        name="doors",
        summary="Rattles at doors.",
        check=rattle,
        params=RattleParams,
        entry=Lock,
        entries_per_run=100,
        ad_hoc=True,
        examples={"harder": '{"force": 3}'},
    ),
    "whistle": Job(name="whistle", summary="Whistles.", check=whistle, params=Params),
}
DOORS = {
    "front": Lock(name="front", environment="prod", open=True),
    "back": Lock(name="back", environment="prod"),
    "cellar": Lock(name="cellar", environment="test", jammed=True),
}
NIGHTLY = Schedule(name="nightly-doors", cron="30 2 * * *", job="doors", zone=BERLIN)


@dataclass
class House:
    """Everything a test may look at or turn."""

    shift: Shift
    settings: Settings
    app: FastAPI
    url: str
    clock: FakeClock
    people: dict[str, tuple[Grant, ...]]
    rung: list[str] = field(default_factory=list)
    work: bool = False
    """Whether a ring does the work at once, as a worker would."""
    broker_trouble: str | None = None
    clients: list[httpx.Client] = field(default_factory=list)

    def ring(self, queued: Sequence[Run]) -> None:
        self.rung += [run.id for run in queued]
        if self.work:
            self.work_through()

    def work_through(self) -> None:
        """Carry out all that was rung for."""
        while self.rung:
            run_id = self.rung.pop(0)
            with self.shift.ledger.read() as connection:
                run = runs.get(connection, run_id)
            assert run is not None
            execute_run(self.shift, run_id, run.job, "test-worker")

    def token(
        self,
        grants: Sequence[Grant] = ADMIN,
        *,
        name: str = "ci",
        kind: ActorKind = ActorKind.TOKEN,
        days: int = 1,
        revoked: bool = False,
    ) -> str:
        text, now = new_api_token(), self.clock()
        row = TokenRow(
            id=new_id(),
            name=name,
            family=new_id(),
            kind=kind,
            grants=[grant.model_dump(mode="json") for grant in grants],
            created_by="test",
            created_at=now,
            expires_at=now + timedelta(days=days),
            revoked_at=now if revoked else None,
        )
        with self.shift.ledger.transaction() as tx:
            people.insert_token(tx, row, hash_token(text))
        return text

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.Client(base_url=self.url, headers=headers, follow_redirects=False, timeout=30, trust_env=False)
        self.clients.append(client)
        return client

    def link(self, person: str = "ana") -> str:
        return make_login_link(self.shift, person, CLI)

    def signed_in(self, person: str = "ana") -> httpx.Client:
        client = self.client()
        assert client.post("/login", data={"token": self.link(person)}).status_code == 303
        return client


def make_shift(ledger: Ledger, folder: Path, clock: FakeClock, ring: Callable[[Sequence[Run]], None]) -> Shift:
    estate = Estate(
        revision=None,
        tables={"doors": DOORS},
        defaults={"environment": "test"},
        modes={},
        schedules={NIGHTLY.name: NIGHTLY},
    )
    return Shift(
        ledger=ledger,
        jobs=JOBS,
        clock=clock,
        keys=Keys(folder / "keys"),
        ring=ring,
        estate=lambda _=None: estate,
        providers=Providers(tls=FakeTls(), commands=FakeCommands(), stacks=FakeStacks(), secrets=FakeSecrets(), others={}),
        scratch=folder / "scratch",
        pace=Pace(),
    )


@dataclass
class Served:
    """One server for all tests, in front of each test's own application."""

    url: str = ""
    app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@contextmanager
def serving() -> Iterator[Served]:
    """A server on loopback that shows whichever application it is given."""
    front = Served()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `nightshift up` does
        front.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(front, log_config=None, lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        until("the server is started", lambda: server.started)
        yield front
        server.should_exit = True
        thread.join()


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and field of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    return document["status"], document["type"].removeprefix("/problems/"), document.get("field")
