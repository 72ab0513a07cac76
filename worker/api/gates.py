"""`/v1/asks` and the one use of a yes: people decide here on work that the caller does itself."""

import hashlib
from datetime import timedelta
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, field_validator

from schedules.durations import parse_duration
from tasks.ask import Line
from worker.api import prefer
from worker.api.auth import ASK, Caller, Who
from worker.api.callbacks import check_callback
from worker.api.gateway import Gateway, Here
from worker.api.reading import visible_approval
from worker.api.requests import idempotency_key
from worker.api.validation import Closed
from worker.flow import gates
from worker.flow.answers import approval_told
from worker.flow.errors import NotFound
from worker.ledger import approvals, batches, runs
from worker.ledger import gates as gate_rows
from worker.records import Batch

ASKED_WITHIN_SECONDS = 10
"""So long the answer waits for a worker to have asked; `Prefer: wait=N` says otherwise."""
LONGEST_USE = timedelta(days=7)

router = APIRouter(prefix="/v1", tags=["gates"])


class AskBody(Closed):
    """A question for people: may I do this?"""

    subject: Line = Field(min_length=1, max_length=160, description="What is to be done, in one line.")
    body: str = Field("", max_length=8000, description="All that people need to decide; plain text, no secrets.")
    risk: Literal["low", "medium", "high"] = Field("medium", description="As you see it; low counts as medium.")
    payload_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of what you will do after a yes, in hex.")
    environment: str | None = Field(None, description="Where it is to be done; else the estate's default.")
    use_by: str = Field("1h", description="So long after the yes it may be used: 30m, 1h, 1d; at most 7d.")
    callback_url: str | None = Field(None, description="Where the answer is POSTed: a Wait node's resume URL.")
    idempotency_key: str | None = Field(None, description="The same key again is the same question, for 30 days.")

    @field_validator("use_by")
    @classmethod
    def _a_while(cls, text: str) -> str:
        if not timedelta(0) < parse_duration(text) <= LONGEST_USE:
            message = "accepted: more than nothing, and at most 7d"
            raise ValueError(message)
        return text


class ConsumeBody(Closed):
    """What is about to be done."""

    payload_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of what you are about to do, in hex.")


@router.post("/asks", status_code=201)
async def ask(body: AskBody, request: Request, response: Response, here: Here, who: Who) -> dict[str, Any]:
    """Ask people: 201 once they are asked, 202 if no worker came by yet. The answer comes by the callback and as an event."""
    asked = await run_in_threadpool(_ask, here, who, body, request)
    seconds = prefer.asked_wait(request) or ASKED_WITHIN_SECONDS
    prefer.applied(response, prefer.asked_wait(request))
    await prefer.wait_until(here, request, seconds, lambda: _batch(here, asked.id), lambda batch: batch.remaining == 0)
    told = await run_in_threadpool(_answer, here, asked.id)
    response.headers["Location"] = f"/v1/asks/{asked.id}"
    response.status_code = 202 if told["state"] == "queued" else 201
    return told


@router.get("/asks/{ask_id}")
async def get_ask(ask_id: str, request: Request, response: Response, here: Here, who: Who) -> dict[str, Any]:
    """The answer so far; `Prefer: wait=N` holds it until people have answered."""

    def look() -> dict[str, Any]:
        with here.shift.ledger.read() as connection:
            batch = batches.get(connection, ask_id)
            made = runs.of_batch(connection, ask_id) if batch else []
            mine = batch is not None and batch.family == who.family
            if not made or made[0].job != ASK or not (mine or who.may("read", ASK, made[0].environment)):
                raise NotFound(f"no question {ask_id[:64]!r}", code="unknown_ask")
            return gates.answer(connection, ask_id)

    seconds = prefer.asked_wait(request)
    prefer.applied(response, seconds)
    return await prefer.wait_until(here, request, seconds, look, lambda told: told["answer"] != "waiting")


@router.post("/approvals/{approval_id}/consume")
def consume(approval_id: str, body: ConsumeBody, here: Here, who: Who) -> dict[str, Any]:
    """Use the yes: once, in time, for the very payload, by the token that asked. Do the work only after a 200."""
    with here.shift.ledger.read() as connection:
        gate = gate_rows.get(connection, approval_id)
        held = approvals.get(connection, approval_id)
        if held is None or gate is None or gate.family != who.family:
            held = visible_approval(connection, who, approval_id)
    who.require("ask", held.job, held.environment)
    used = gates.consume(here.shift, approval_id, body.payload_sha256, actor=who.actor, family=who.family)
    with here.shift.ledger.read() as connection:
        return dict(approval_told(connection, used.id))


def _ask(here: Gateway, who: Caller, body: AskBody, request: Request) -> Batch:
    url = body.callback_url
    if url is not None:
        check_callback(url, here.settings.callback_hosts)
    asking = gates.Asking(
        subject=body.subject,
        body=body.body,
        risk=body.risk,
        payload_sha256=body.payload_sha256,
        environment=body.environment,
        use_seconds=int(parse_duration(body.use_by).total_seconds()),
        actor=who.actor,
        family=who.family,
        trigger=who.trigger,
        idempotency_key=idempotency_key(body.idempotency_key, request),
        callback=here.shift.keys.encrypt(url.encode()) if url else None,
        callback_sha256=hashlib.sha256(url.encode()).hexdigest() if url else None,
    )
    return gates.ask(here.shift, asking, who.permit_asking).batch


def _batch(here: Gateway, batch_id: str) -> Batch:
    with here.shift.ledger.read() as connection:
        found = batches.get(connection, batch_id)
    assert found is not None
    return found


def _answer(here: Gateway, batch_id: str) -> dict[str, Any]:
    with here.shift.ledger.read() as connection:
        return gates.answer(connection, batch_id)
