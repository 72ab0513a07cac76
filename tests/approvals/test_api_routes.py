"""Every route that changes something, and the guard that it passes. A new one without a line here fails."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select

import worker
from tests.approvals.kit import COUNTING, Hall, page_of
from tests.approvals.ward import PIN, PROD, person, undelivered
from worker.api.app import ROUTERS
from worker.ledger.tables import FINDINGS
from worker.records import ActorKind
from worker.tokens import Grant, Verb

EVERY_VERB: tuple[Verb, ...] = ("run", "ask", "read", "mute", "decide", "resolve", "operate", "admin")
DECIDES = "worker.flow.authorizing"
"""The guard of a route that decides: no grant is enough; see `test_a_decision_is_written_behind_the_one_authorizer`."""

TRIES = ("audit",)
"""What a machine's token tried and was refused is in the audit; nothing else may change."""
ITSELF = "a token of the same family"
"""The guard of what a machine keeps for itself, and may do whatever its grants: its subscriptions."""

Guard = tuple[str, ...]
GUARDS: dict[str, Guard] = {
    # any one of these verbs, by API
    "/v1/runs": ("run",),
    "/v1/runs/{run_id}/cancel": ("run",),
    "/v1/runs/{run_id}/resolve": ("resolve",),
    "/v1/runs/{run_id}/undo": ("ask",),
    "/v1/batches/{batch_id}/cancel": ("run",),
    "/v1/findings/{finding_id}/acknowledge": ("mute",),
    "/v1/findings/{finding_id}/mute": ("mute",),
    "/v1/findings/{finding_id}/unmute": ("mute",),
    "/v1/approvals/{approval_id}/decisions": (DECIDES,),
    "/v1/approvals/{approval_id}/revoke": ("decide", "operate"),
    "/v1/approvals/{approval_id}/dismiss": ("decide", "mute"),
    "/v1/asks": ("ask",),
    "/v1/approvals/{approval_id}/consume": ("ask",),
    "/v1/subscriptions": (ITSELF,),
    "/v1/subscriptions/{subscription_id}": (ITSELF,),
    "/v1/deliveries/{delivery_id}/resend": ("operate",),
    "/v1/deliveries/{delivery_id}/put-away": ("operate",),
    "/v1/brakes/{brake}": ("operate",),
    "/v1/schedules/{schedule}/pause": ("operate",),
    "/v1/schedules/{schedule}/resume": ("operate",),
    # the same on pages, with the CSRF token of the session
    "/findings/{finding_id}/acknowledge": ("mute",),
    "/findings/{finding_id}/mute": ("mute",),
    "/findings/{finding_id}/unmute": ("mute",),
    "/approvals/{approval_id}/decide": (DECIDES,),
    "/approvals/{approval_id}/resolve": (DECIDES,),
    "/approvals/{approval_id}/revoke": ("decide", "operate"),
    "/approvals/{approval_id}/dismiss": ("decide", "mute"),
    "/runs/{run_id}/cancel": ("run",),
    "/runs/{run_id}/resolve": ("resolve",),
    "/runs/{run_id}/undo": ("ask",),
    "/deliveries/{delivery_id}/resend": ("operate",),
    "/deliveries/{delivery_id}/put-away": ("operate",),
    "/schedules/{schedule}/pause": ("operate",),
    "/schedules/{schedule}/resume": ("operate",),
    "/brakes/{brake}": ("operate",),
    # of a person's own session
    "/login": ("a link that was sent to them",),
    "/logout": ("their session",),
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/runs": {"job": "slots"},
    "/v1/asks": {"subject": "May I?", "payload_sha256": "0" * 64, "environment": PROD},
    "/v1/approvals/{approval_id}/consume": {"payload_sha256": "0" * 64},
    "/v1/subscriptions": {"url": "http://localhost:1/hook", "events": ["finding.opened"]},
    "resend": {},
    "/v1/findings/{finding_id}/mute": {"reason": "x", "until": "2027-01-01T00:00:00Z"},
    "/approvals/{approval_id}/resolve": {"resolution": "applied", "reason": "x", "pin": PIN},
    "resolve": {"resolution": "applied", "reason": "x"},
    "decisions": {"choice": "approve", "pin": PIN, "reason": "x"},
    "decide": {"choice": "approve", "pin": PIN, "reason": "x"},
    "mute": {"days": "7", "reason": "x"},
    "acknowledge": {"reason": "x"},
    "unmute": {},
    "resume": {},
}
BY_API = sorted(path for path, guard in GUARDS.items() if path.startswith("/v1") and guard not in ((DECIDES,), (ITSELF,)))
ON_PAGES = sorted(path for path in GUARDS if not path.startswith("/v1") and path not in ("/login", "/logout"))


def routes(parts: Any) -> Iterator[APIRoute]:
    """All that are served, also those that are left out of the reference."""
    for part in parts:
        inner = getattr(part, "original_router", part)
        if isinstance(inner, APIRoute):
            yield inner
        else:
            yield from routes(inner.routes)


def test_every_route_that_changes_something_is_known_with_its_guard() -> None:
    changing = {
        route.path for route in routes(part.router for part in ROUTERS) if (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert changing == set(GUARDS)


def test_no_route_changes_something_by_another_method_than_post() -> None:
    found = {(method, route.path) for route in routes(part.router for part in ROUTERS) for method in route.methods or ()}
    others = {(method, path) for method, path in found if method not in ("GET", "HEAD", "POST")}
    assert others == {("DELETE", "/v1/subscriptions/{subscription_id}")}


@pytest.fixture
def stage(hall_here: Hall) -> "Stage":
    return Stage(hall_here)


class Stage:
    """One of everything that a route may be about, each in a state in which the route would do something."""

    def __init__(self, hall: Hall) -> None:
        self.hall, ward = hall, hall.ward
        self.approval = ward.ask()
        self.run_id = ward.rig.order("slots").runs[0].id
        with ward.rig.ledger.read() as connection:
            self.finding_id = connection.execute(select(FINDINGS.c.id)).scalars().first()
        self.delivery_id = undelivered(ward, self.run_id)

    def path(self, pattern: str) -> str:
        return pattern.format(
            approval_id=self.approval.id,
            run_id=self.run_id,
            batch_id=self.hall.ward.rig.run(self.run_id).batch_id,
            finding_id=self.finding_id,
            schedule="nightly",
            brake="freeze",
            delivery_id=self.delivery_id,
            subscription_id="0191d3a4-0000-7000-8000-000000000000",
        )

    def body(self, pattern: str) -> dict[str, Any]:
        known = BODIES.get(pattern) or BODIES.get(pattern.rsplit("/", 1)[-1], {"reason": "x"})
        decides = GUARDS[pattern] == (DECIDES,) and "resolve" not in pattern
        return {**known, "digest": self.approval.digest} if decides else known


@pytest.mark.parametrize("pattern", sorted(GUARDS))
def test_nobody_changes_anything(stage: Stage, pattern: str) -> None:
    before = stage.hall.picture()
    stranger, path = stage.hall.client(), stage.path(pattern)
    for headers in ({}, {"Authorization": "Bearer nst_unknown"}, {"Authorization": "Basic Ym86Ym8="}):
        stranger.headers = httpx.Headers(headers)
        for as_json in (True, False):
            answer = send(stranger, path, stage.body(pattern), as_json=as_json)
            assert answer.status_code >= 400 or answer.headers.get("location", "").partition("?")[0] == "/login", (
                path,
                answer.status_code,
            )
    assert stage.hall.picture() == before


@pytest.mark.parametrize("pattern", BY_API)
@pytest.mark.parametrize("kind", [ActorKind.TOKEN, ActorKind.N8N])
def test_a_token_with_every_verb_but_the_right_one_changes_nothing(stage: Stage, pattern: str, kind: ActorKind) -> None:
    grants = [Grant(verb=verb) for verb in EVERY_VERB if verb not in GUARDS[pattern]]
    client = stage.hall.client(stage.hall.token(kind, "ci", grants))
    before = stage.hall.picture(TRIES)
    answer = client.post(stage.path(pattern), json=stage.body(pattern))
    # A schedule that nobody configured is not there for anybody.
    assert answer.status_code == (404 if "{schedule}" in pattern else 403), answer.text
    assert stage.hall.picture(TRIES) == before


@pytest.mark.parametrize("pattern", BY_API)
def test_a_token_for_another_environment_changes_nothing(stage: Stage, pattern: str) -> None:
    grants = [Grant(verb=verb, environments=("elsewhere",)) for verb in EVERY_VERB]
    client = stage.hall.client(stage.hall.token(ActorKind.TOKEN, "ci", grants))
    before = stage.hall.picture(TRIES)
    # Pulling a brake does no harm: whoever operates anything may. To let it go is another matter.
    path = stage.path(pattern.replace("{brake}", "thaw"))
    assert client.post(path, json=stage.body(pattern)).status_code in (403, 404)
    assert stage.hall.picture(TRIES) == before


@pytest.mark.parametrize("pattern", ON_PAGES)
def test_a_viewer_and_a_form_without_its_csrf_token_change_nothing(stage: Stage, pattern: str) -> None:
    ward = stage.hall.ward
    ward.change(people=(*ward.rig.estate[-1].people, person("vic", "viewer")))
    vic, bo = stage.hall.signed_in("vic"), stage.hall.signed_in("bo")
    tokens = {
        name: page_of(one, stage.approval).split('name="csrf" value="')[1].split('"')[0]
        for name, one in (("vic", vic), ("bo", bo))
    }
    before = stage.hall.picture(COUNTING)
    body = stage.body(pattern)
    assert vic.post(stage.path(pattern), data={**body, "csrf": tokens["vic"]}).status_code in (403, 404)
    for csrf in ({}, {"csrf": ""}, {"csrf": tokens["vic"]}):
        assert bo.post(stage.path(pattern), data={**body, **csrf}).status_code in (403, 404, 422)
    assert stage.hall.picture(COUNTING) == before


@pytest.mark.parametrize("pattern", [path for path, guard in GUARDS.items() if guard == (DECIDES,)])
def test_no_wrong_caller_decides(stage: Stage, pattern: str) -> None:
    """Everybody who may not, by whichever proof they have, with bo's right PIN."""
    hall = stage.hall
    ward, approval = hall.ward, stage.approval
    others = (person("vic", "viewer"), person("eve", environment="elsewhere"), person("pam", pin=False))
    ward.change(people=(*ward.rig.estate[-1].people, *others))
    callers = [hall.client(hall.token(kind, "bo")) for kind in ActorKind if kind is not ActorKind.PERSON]
    callers += [hall.client(hall.token(name=name)) for name in ("ana", "vic", "eve", "pam", "nobody")]
    callers += [hall.signed_in(name) for name in ("ana", "vic", "eve", "pam")]
    callers += [hall.opened(approval, name) for name in ("ana", "vic", "eve", "pam")]
    before = hall.picture((*COUNTING, *TRIES))
    for caller in callers:
        page = caller.get(f"/approvals/{approval.id}")
        csrf = page.text.split('name="csrf" value="')[1].split('"')[0] if 'name="csrf"' in page.text else ""
        body = stage.body(pattern)
        as_json = pattern.startswith("/v1")
        answer = send(caller, stage.path(pattern), body if as_json else {**body, "csrf": csrf}, as_json=as_json)
        assert answer.status_code >= 400 or answer.headers.get("location", "").partition("?")[0] == "/login", (
            answer.status_code,
            answer.text,
        )
    assert hall.picture((*COUNTING, *TRIES)) == before


def send(client: httpx.Client, path: str, body: dict[str, Any], *, as_json: bool) -> httpx.Response:
    return client.post(path, json=body) if as_json else client.post(path, data=body)


def calls(path: Path) -> set[str]:
    """Names of everything that the module calls."""
    tree = ast.parse(path.read_text())
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called}


def test_a_decision_is_written_behind_the_one_authorizer() -> None:
    """One module writes decisions and queues effect runs for them, and it authorizes; one checks PINs."""
    root = Path(worker.__file__ or "").parent
    modules = {str(path.relative_to(root)): calls(path) for path in root.rglob("*.py")}
    assert [name for name, called in modules.items() if "insert_decision" in called] == ["flow/deciding.py"]
    assert [name for name, called in modules.items() if "authorize" in called] == ["flow/deciding.py"]
    assert [name for name, called in modules.items() if "authorize_resolve" in called] == ["flow/settling.py"]
    assert [name for name, called in modules.items() if "verify_pin" in called] == ["flow/authorizing.py"]
    deciding = (root / "flow/deciding.py").read_text()
    assert deciding.index("authorize(shift") < deciding.index("_write(shift, tx") < deciding.index("insert_decision(tx")
