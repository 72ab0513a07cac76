"""Callbacks: the one result of a batch, delivered to the resume URL of whoever asked, until they have it."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import monotonic
from urllib.parse import urlsplit

import httpx
import structlog

from notifications.webhook import sign
from tasks.ask import JOB
from tasks.errors import ProviderError
from worker.flow import gates
from worker.flow.results import batch_told
from worker.flow.shift import Shift
from worker.flow.undelivered import tell_undelivered
from worker.ledger import batches, outbox, runs, telling
from worker.records import Batch, DeliveryState, OutboxRow, Topic
from worker.relay.judging import Verdict, judge
from worker.relay.trying import Tried
from worker.tokens import KeysError

ASK = JOB.name
_TIMEOUT = httpx.Timeout(10.0)
_JUDGED_BYTES = 2_000
_READING_SECONDS = 5.0
_AT_ONCE = 32

log = structlog.get_logger("nightshift.callbacks")


def _beginning(reply: httpx.Response) -> str:
    """As much of the answer as is judged: one that never ends, or comes drop by drop, is not waited for."""
    give_up, said = monotonic() + _READING_SECONDS, b""
    for piece in reply.iter_bytes():
        said += piece
        if len(said) >= _JUDGED_BYTES or monotonic() > give_up:
            break
    return said[:_JUDGED_BYTES].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class CallbackRelay:
    """One step delivers what is due, several at a time: one slow receiver holds up nobody else."""

    shift: Shift
    secret: Callable[[], str | None] = lambda: None
    """What results are signed with; asked at each attempt. None: they are not signed."""
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_TIMEOUT, follow_redirects=False))
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="nightshift-callback"))

    def step(self) -> bool:
        now = self.shift.clock()
        with self.shift.ledger.read() as connection:
            due = outbox.due(connection, Topic.CALLBACK, now, _AT_ONCE)
        ended = [state for state in self.pool.map(self._deliver, due) if state is not None]
        if DeliveryState.FAILED in ended or any("resent" in row.payload for row in due):
            tell_undelivered(self.shift)
        return DeliveryState.SENT in ended

    def _deliver(self, row: OutboxRow) -> DeliveryState | None:
        """What became of it, if this was its last attempt."""
        now = self.shift.clock()
        with self.shift.ledger.transaction() as tx:
            if not outbox.take(tx, row, until=now + timedelta(seconds=60)):
                return None
            batch = batches.get(tx, row.subject)
            if batch is None or batch.callback is None:
                outbox.done(tx, [row.id])
                return None
            delivery = telling.begin_delivery(
                tx, message_id=batch.id, kind="callback", channel="callback", subject=batch.id, at=now
            )
        state = self._note(row, batch, delivery.id, self._post(batch))
        return None if state is DeliveryState.SENDING else state

    def _post(self, batch: Batch) -> Verdict:
        """Why it is so names the host and never the URL: whoever knows that can resume the workflow."""
        assert batch.callback is not None
        try:
            url = self.shift.keys.decrypt(batch.callback).decode()
            host = urlsplit(url).netloc.rpartition("@")[2]
        except KeysError as error:
            return Verdict("undelivered", str(error))
        except ValueError:
            return Verdict("undelivered", "the callback is not a URL that can be called")
        try:
            content = json.dumps(self.result(batch), ensure_ascii=False).encode("utf-8", "replace")
            with self.client.stream("POST", url, content=content, headers=self._headers(batch, content)) as reply:
                said = _beginning(reply)
        except (httpx.InvalidURL, OverflowError):
            return Verdict("undelivered", f"{host}: not a URL that can be called")
        except ProviderError as error:
            return Verdict("again", f"the secret of the setting callback_secret: {error}")
        except (httpx.HTTPError, ValueError) as error:
            return _unanswered(host, error)
        verdict = judge(reply.status_code, reply.headers.get("content-type", ""), said)
        return replace(verdict, why=": ".join(filter(None, (f"{host} answered {reply.status_code}", verdict.why))))

    def _headers(self, batch: Batch, content: bytes) -> Mapping[str, str]:
        """Signed as events are, once the setting `callback_secret` names a secret. Raises `ProviderError`."""
        headers = {"content-type": "application/json", "user-agent": "nightshift", "webhook-id": batch.id}
        secret = self.secret()
        if secret is None:
            return headers
        at = int(self.shift.clock().timestamp())
        signed = {"webhook-timestamp": str(at), "webhook-signature": sign(secret, batch.id, at, content)}
        return {**headers, **signed}

    def result(self, batch: Batch) -> Mapping[str, object]:
        """What the caller gets: the batch and its runs, in the order of the items; of a question, its answer."""
        with self.shift.ledger.read() as connection:
            made = runs.of_batch(connection, batch.id)
            if [run.job for run in made] == [ASK]:
                return {"type": "ask.answered", **gates.answer(connection, batch.id)}
            return {"type": "batch.ended", **batch_told(connection, batch)}

    def _note(self, row: OutboxRow, batch: Batch, delivery_id: str, verdict: Verdict) -> DeliveryState:
        now = self.shift.clock()
        so_far = Tried.read(row)
        state = so_far.state(verdict, now)
        with self.shift.ledger.transaction() as tx:
            telling.end_delivery(tx, delivery_id, state=state, detail=verdict.why, at=now)
            if state is DeliveryState.SENDING:
                at, payload = so_far.again(verdict, now)
                outbox.try_again(tx, row.id, at=at, error=verdict.why, payload={**row.payload, **payload})
            else:
                outbox.done(tx, [row.id])
        if state is DeliveryState.FAILED:
            log.error("callback_undelivered", batch_id=batch.id, detail=verdict.why)
        return state


def _unanswered(host: str, error: Exception) -> Verdict:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Verdict("again", f"nobody listens at {host}, n8n is down or starting: {type(error).__name__}")
    return Verdict("again", f"{host} gave no answer: {type(error).__name__}", doubtful=True)
