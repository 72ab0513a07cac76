"""`/metrics` for Prometheus, read from the ledger at every scrape, so that any number of gateways say the same."""

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from schedules.schedule import next_due
from worker.api.auth import by_token
from worker.api.gateway import Gateway, Here
from worker.api.problems import ProblemError
from worker.ledger import approvals, audit_rows, findings, outbox, revisions, runs, schedules, seats

SEEN_SECONDS = 60
MOST_UNCHAINED = 1000

L = TypeVar("L", bound=tuple[str, ...])

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response)
def metrics(request: Request, here: Here) -> Response:
    """From this machine, or with a token that may `read` everything."""
    if not from_this_machine(request):
        if "authorization" not in request.headers:
            detail = "send `Authorization: Bearer nst_…` of a token with `read`, or ask from the gateway's own machine"
            raise ProblemError(401, "token_missing", detail, headers={"WWW-Authenticate": 'Bearer realm="nightshift"'})
        by_token(request, here).require("read")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(here))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def from_this_machine(request: Request) -> bool:
    """Loopback, and not for somebody else: a proxy on this machine says whom it asks for."""
    if request.client is None or any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


class LedgerCollector(Collector):
    """One scrape."""

    def __init__(self, here: Gateway) -> None:
        self._here = here

    def collect(self) -> Iterator[Metric]:
        now = self._here.shift.clock()
        with self._here.shift.ledger.read() as connection:
            yield _gauge("runs_in_state", "Runs by job and state.", ("job", "state"), runs.counts_by_state(connection))
            yield _gauge("findings", "Findings by state and severity.", ("state", "severity"), findings.counts(connection))
            yield from _approvals(connection, now)
            yield from _outbox(connection, now)
            yield from _audit(connection, now)
            yield _workers(connection)
            yield _brakes(connection)
            yield self._schedule_lag(connection, now)

    def _schedule_lag(self, connection: Connection, now: datetime) -> Metric:
        configured = self._here.shift.estate().schedules
        lags = {
            (row.name,): max(0.0, (now - next_due(configured[row.name], row.cursor_at).at).total_seconds())
            for row in schedules.listing(connection)
            if row.name in configured and row.paused_by is None and configured[row.name].trigger == "scheduler"
        }
        return _gauge("schedule_lag_seconds", "How long a due fire has been waiting.", ("schedule",), lags)


def _approvals(connection: Connection, now: datetime) -> Iterator[Metric]:
    states = {(state,): float(number) for state, number in approvals.counts(connection).items()}
    yield _gauge("approvals", "Requests by state.", ("state",), states)
    oldest = approvals.oldest_pending(connection)
    age = (now - oldest).total_seconds() if oldest else 0.0
    yield _gauge("approvals_oldest_pending_seconds", "Age of the oldest request nobody has decided on.", (), {(): age})


def _outbox(connection: Connection, now: datetime) -> Iterator[Metric]:
    depth = outbox.depth(connection)
    numbers = {(topic,): float(number) for topic, (number, _) in depth.items()}
    ages = {(topic,): (now - oldest).total_seconds() for topic, (_, oldest) in depth.items() if oldest}
    yield _gauge("outbox_depth", "Rows that wait to be told to the world.", ("topic",), numbers)
    yield _gauge("outbox_oldest_seconds", "Age of the oldest of them.", ("topic",), ages)


def _audit(connection: Connection, now: datetime) -> Iterator[Metric]:
    waiting = audit_rows.unchained(connection, MOST_UNCHAINED)
    age = (now - waiting[0].entry.at).total_seconds() if waiting else 0.0
    head = audit_rows.head(connection)
    yield _gauge("audit_unchained_rows", f"Audit rows not chained yet, counted up to {MOST_UNCHAINED}.", (), {(): len(waiting)})
    yield _gauge("audit_unchained_oldest_seconds", "Age of the oldest of them.", (), {(): max(0.0, age)})
    yield _gauge("audit_head_number", "Number of the last chained audit row.", (), {(): (head.number or 0) if head else 0})


def _workers(connection: Connection) -> Metric:
    alive: dict[tuple[str, ...], float] = {}
    for seat in seats.seen_within(connection, SEEN_SECONDS):
        role = (str(seat["role"]),)
        alive[role] = alive.get(role, 0) + 1
    return _gauge("processes", f"Processes that showed themselves in the last {SEEN_SECONDS} seconds.", ("role",), alive)


def _brakes(connection: Connection) -> Metric:
    state = revisions.state(connection)
    brakes = {("freeze",): float(state.frozen_by is not None), ("kill",): float(state.killed)}
    return _gauge("brake", "1 while the brake is on.", ("brake",), brakes)


def _gauge(name: str, told: str, labels: tuple[str, ...], values: Mapping[L, float]) -> Metric:
    family = GaugeMetricFamily(f"nightshift_{name}", told, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family
