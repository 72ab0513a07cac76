"""The body of `POST /v1/runs`, and what is made of it."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from fastapi import Request as HttpRequest
from pydantic import Field

from worker.api.auth import Caller
from worker.api.callbacks import check_callback
from worker.api.gateway import Gateway
from worker.api.problems import ProblemError
from worker.api.validation import Closed
from worker.flow import Enqueued, Order, Request, enqueue
from worker.flow.drafting import draft_orders
from worker.flow.errors import FlowError
from worker.flow.intake import MOST_RUNS

WAYS = ("job", "items", "schedule")
MOST_CALLED_BACK = 1000
"""Items of one callback: its body stays well under the 16 MiB that n8n takes."""
KEY_HEADER = "Idempotency-Key"
_KEY = r"[\x21-\x7e]{1,255}"
_TRACEPARENT = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"


class Item(Closed):
    """One job and its parameters."""

    job: str = Field(description="Name of a job, see `GET /v1/jobs`.")
    params: dict[str, Any] = Field(default_factory=dict, description="Its parameters, by the job's JSON Schema.")


class RunsBody(Closed):
    """What to run: `job` with `params`, or `items`, or tonight's batch of a `schedule`."""

    job: str | None = Field(None, description="Name of a job, see `GET /v1/jobs`.")
    params: dict[str, Any] | None = Field(None, description="Parameters of `job`.")
    items: tuple[Item, ...] | None = Field(
        None, max_length=MOST_RUNS, description="Several jobs as one batch; results come in this order."
    )
    schedule: str | None = Field(None, description="Name of a schedule: join its batch of tonight, or start it.")
    callback_url: str | None = Field(None, description="Where the one result of the batch is POSTed; its host must be allowed.")
    idempotency_key: str | None = Field(
        None, description="The same key again gives the same batch, for 30 days; also as header Idempotency-Key."
    )
    note: str = Field("", max_length=500, description="Kept with the batch.")

    def orders(self) -> Sequence[Order]:
        """What is asked for. Raises a problem unless exactly one of job, items and schedule is."""
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "none is given"
            detail = f"say exactly one of `job`, `items` and `schedule`: {said}"
            raise ProblemError(422, "ambiguous", detail, field=given[-1] if given else "job", accepted=WAYS)
        if self.params is not None and self.job is None:
            raise ProblemError(422, "ambiguous", "`params` goes with `job`; each of `items` has its own", field="params")
        if self.items is not None:
            self._refuse_a_number()
            return [Order(job=item.job, params=item.params) for item in self.items]
        return [Order(job=self.job, params=self.params or {})] if self.job is not None else []

    def _refuse_a_number(self) -> None:
        number = len(self.items or ())
        if number == 0:
            detail = "`items` is empty: nothing came from the step before; send at least one, or skip the call when there is none"
            raise ProblemError(422, "no_items", detail, field="items")
        if self.callback_url is not None and number > MOST_CALLED_BACK:
            detail = (
                f"{number} items with one callback, at most {MOST_CALLED_BACK} are called back at once: "
                "send them in several requests, say with a Loop Over Items"
            )
            raise ProblemError(422, "too_many_items", detail, field="items")


def ask(here: Gateway, caller: Caller, body: RunsBody, http: HttpRequest) -> Enqueued:
    """Do what the body says. Raises problems and the errors of `flow.enqueue`; then nothing was written."""
    orders = body.orders()
    key = idempotency_key(body.idempotency_key, http)
    if body.schedule is not None:
        return _join(here, caller, body, body.schedule)
    if body.callback_url is not None:
        check_callback(body.callback_url, here.settings.callback_hosts)
    request = Request(
        orders=orders,
        trigger=caller.trigger,
        actor=caller.actor,
        family=caller.family,
        idempotency_key=key,
        callback=here.shift.keys.encrypt(body.callback_url.encode()) if body.callback_url else None,
        callback_sha256=hashlib.sha256(body.callback_url.encode()).hexdigest() if body.callback_url else None,
        note=body.note,
        traceparent=_traceparent(http),
    )
    try:
        return enqueue(here.shift, request, caller.permit)
    except FlowError as error:
        if body.items is not None:
            _name_the_item(here, orders, error)
        raise


def _join(here: Gateway, caller: Caller, body: RunsBody, schedule: str) -> Enqueued:
    """A night is one batch, whoever rings first; so it has no caller of its own to call back."""
    for name in ("callback_url", "note"):
        if getattr(body, name):
            detail = f"{name}: a night is shared by all who join it; use `Prefer: wait` or `GET /v1/batches/<id>` for its result"
            raise ProblemError(422, "not_for_a_schedule", detail, field=name)
    return here.join_night(schedule, caller.actor, caller.permit)


def _name_the_item(here: Gateway, orders: Sequence[Order], error: FlowError) -> None:
    """Put the number of the first item at fault into the error's field."""
    if error.field is None or not error.field.startswith(("job", "params")):
        return
    for number, order in enumerate(orders):
        try:
            draft_orders(here.shift, [order])
        except FlowError as same:
            error.field = f"items[{number}].{same.field}"
            return


def idempotency_key(member: str | None, http: HttpRequest) -> str | None:
    """Of the body's member or the header. Raises a problem when they differ, or cannot be kept."""
    header = http.headers.get(KEY_HEADER)
    if header is not None and member is not None and header != member:
        detail = f"the header {KEY_HEADER} and the member idempotency_key differ: send one, or the same in both"
        raise ProblemError(422, "idempotency_keys_differ", detail, field="idempotency_key")
    key = header if member is None else member
    if key is not None and not re.fullmatch(_KEY, key):
        detail = "idempotency_key: accepted are 1 to 255 visible ASCII characters"
        raise ProblemError(422, "invalid", detail, field="idempotency_key")
    return key


def _traceparent(http: HttpRequest) -> str | None:
    """W3C Trace Context; what is not well-formed is ignored, as it says."""
    given = http.headers.get("traceparent", "")
    return given if re.fullmatch(_TRACEPARENT, given) else None
