"""A hall with the job `ask`, whose work is done as soon as it is rung for, and canvases with tokens of their own."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tasks import ask
from tests.api.kit import Served
from tests.approvals.kit import Hall, open_hall
from tests.approvals.ward import PROD, Ward, door, person, rule
from tests.support.mending import SLOTS
from tests.support.shift import WORKER, open_rig
from worker.flow import execute_run
from worker.policy import Policy
from worker.records import ActorKind, Approval, Run
from worker.tokens import Grant, grants_of_role

N8N = grants_of_role("n8n")
PAYLOAD = hashlib.sha256(b'{"version": "1.2.3"}').hexdigest()
OTHER = hashlib.sha256(b'{"version": "6.6.6"}').hexdigest()


@dataclass
class Gatehouse:
    """Canvases ask here, people decide."""

    hall: Hall
    work: bool = True
    """Whether a ring does the work at once, as a worker would."""

    @property
    def ward(self) -> Ward:
        return self.hall.ward

    def canvas(self, name: str = "canvas", grants: Sequence[Grant] = N8N, behalf: str | None = None) -> httpx.Client:
        """A client with an n8n token of a family of its own."""
        client = self.hall.client(self.hall.token(ActorKind.N8N, name, grants, days=30))
        if behalf:
            client.headers["X-On-Behalf-Of"] = behalf
        return client

    def ask(self, canvas: httpx.Client, **members: Any) -> dict[str, Any]:
        """One question, which people are asked."""
        asked = canvas.post("/v1/asks", json=question(**members))
        assert asked.status_code == 201, asked.text
        told: dict[str, Any] = asked.json()
        return told

    def approval(self, asked: dict[str, Any]) -> Approval:
        return self.ward.approval(str(asked["approval_id"]))

    def approved(self, canvas: httpx.Client, **members: Any) -> Approval:
        """Asked, and agreed to by bo."""
        return self.ward.say(self.approval(self.ask(canvas, **members)))

    def do_the_work(self, queued: Sequence[Run]) -> None:
        for run in queued:
            if self.work and run.job == ask.JOB.name:
                execute_run(self.ward.rig.shift, run.id, run.job, WORKER)


def question(**members: Any) -> dict[str, Any]:
    asked = {"subject": "Deploy shop 1.2.3", "body": "A new basket.", "payload_sha256": PAYLOAD, "environment": PROD}
    return {**asked, **members}


def consume(canvas: httpx.Client, approval_id: str, payload_sha256: str = PAYLOAD) -> httpx.Response:
    return canvas.post(f"/v1/approvals/{approval_id}/consume", json={"payload_sha256": payload_sha256})


@contextmanager
def open_gatehouse(ledger_url: str, tmp_path: Path, served: Served, **settings: Any) -> Iterator[Gatehouse]:
    folder = tmp_path / "door"
    folder.mkdir()
    with open_rig(ledger_url, tmp_path, SLOTS, ask.JOB, tables={"slots": {"door": door(folder)}}) as rig:
        rules = (rule(), rule(name="gates", jobs=["ask"], actions=["gate"]))
        people = (person("ana"), person("bo"), person("cy"), person("root", "admin", environment="*"))
        here = {"modes": {PROD: "execute"}, "policy": Policy(rules=rules), "people": people}
        rig.estate.append(replace(rig.estate[-1], **here))  # type: ignore[arg-type]
        rig.shift = replace(rig.shift, ring=lambda queued: house.do_the_work(queued))  # noqa: PLW0108 - made below
        with open_hall(Ward(rig, folder), served, **settings) as hall:
            house = Gatehouse(hall)
            yield house
