"""What somebody tries who knows more than they should: a link, a session, even a PIN. No script here decides anything."""

import ast
import http.client
import inspect
import re
import textwrap
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from tests.approvals.kit import COUNTING, Hall, copy_of, page_of, yes
from tests.approvals.ward import PIN, PROD, Ward, person, pin_hash
from worker.api.auth import COOKIE
from worker.configuration import Person
from worker.flow import linking
from worker.flow.linking import open_link
from worker.records import Approval, ApprovalState
from worker.tokens import LinkCookies

Script = Callable[[Hall, Approval], None]


def path_of(approval: Approval, verb: str = "/decide") -> str:
    return f"/approvals/{approval.id}{verb}"


def refused(answer: httpx.Response) -> None:
    """Neither done nor led on as after a decision."""
    assert answer.status_code >= 400 or answer.headers.get("location", "").partition("?")[0] == "/login", (
        answer.status_code,
        answer.text[:300],
    )


def form(hall: Hall, approval: Approval, **members: str) -> tuple[httpx.Client, dict[str, str]]:
    """A browser with bo's link open, and the form of its page filled in rightly but for `members`."""
    client = hall.opened(approval)
    return client, yes(page_of(client, approval), **members)


def another(ward: Ward) -> Approval:
    """A request that takes the place of the first."""
    ward.meddle(7)
    return ward.ask()


def replay_of_a_decision_that_was_made(hall: Hall, approval: Approval) -> None:
    other = another(hall.ward)
    client, said = form(hall, other)
    hall.ward.say(other, "cy")
    hall.freeze_picture()
    refused(client.post(path_of(other), data=said))
    refused(hall.client().post(path_of(other), data=said, headers={"Cookie": _cookies(client)}))


def form_without_csrf_token(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    del said["csrf"]
    refused(client.post(path_of(approval), data=said))
    refused(client.post(path_of(approval), data={**said, "csrf": ""}))


def csrf_token_of_somebody_else(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    _, theirs = form(hall, approval)
    session = hall.signed_in("cy")
    of_session = page_of(session, approval).split('name="csrf" value="')[1].split('"')[0]
    for token in (theirs["csrf"], of_session, said["csrf"][:-1], said["csrf"].replace(".", "")):
        refused(client.post(path_of(approval), data={**said, "csrf": token}))


def form_from_another_site(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    for site in ("cross-site", "same-site"):
        refused(client.post(path_of(approval), data=said, headers={"Sec-Fetch-Site": site}))


def another_host_in_the_header(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval, pin="000000")
    for path in (f"/a/{hall.link(approval, channel='chat')}", path_of(approval, ""), "/login", path_of(approval, "/")):
        answer = client.get(path, headers={"Host": "evil.example"})
        assert "evil.example" not in answer.text + str(dict(answer.headers))
    refused(client.post(path_of(approval), data=said, headers={"Host": "evil.example"}))


def forged_cookie(hall: Hall, approval: Approval) -> None:
    strange = replace(hall.ward.rig.shift, keys=hall.other_keys())
    made = LinkCookies(strange.keys, strange.clock)
    token = hall.link(approval)
    held = made.issue(open_link(hall.ward.rig.shift, token))
    ours = hall.opened(approval, "cy").cookies[f"nightshift_link_{approval.id}"]
    key_id, _, signed = ours.partition(".")
    payload, _, signature = signed.rpartition(".")
    for cookie in (
        made.cookie(held),
        f"{key_id}.{payload}x.{signature}",
        f"{key_id}.{payload}.",
        f"x.{payload}.{signature}",
        "é",
    ):
        client = hall.client()
        headers = {b"Cookie": f"nightshift_link_{approval.id}={cookie}".encode()}
        refused(client.get(path_of(approval, ""), headers=headers))
        data = {"csrf": made.csrf_token(held), "digest": approval.digest, "choice": "approve", "pin": PIN, "reason": "x"}
        refused(client.post(path_of(approval), data=data, headers=headers))


def cookie_of_another_approval(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    other = copy_of(hall.ward, approval, 2)
    hall.freeze_picture()
    ours = client.cookies[f"nightshift_link_{approval.id}"]
    headers = {"Cookie": f"nightshift_link_{other.id}={ours}"}
    refused(hall.client().get(path_of(other, ""), headers=headers))
    refused(hall.client().post(path_of(other), data={**said, "digest": other.digest}, headers=headers))
    session = hall.client()
    refused(session.post(path_of(other), data=said, headers={"Cookie": f"{COOKIE}={ours}"}))


def overridden_method(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert client.get(path_of(approval, ""), headers={name: "POST"}, params=said).status_code == 200
        refused(client.get(path_of(approval), headers={name: "POST"}, params=said))
    refused(client.get(path_of(approval), params={**said, "_method": "POST"}))
    refused(client.post(path_of(approval, ""), data={**said, "_method": "decide"}))
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        refused(client.request(method, path_of(approval), data=said))


def polluted_parameters(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval, choice="deny")
    twice = urlencode([*said.items(), ("choice", "approve")])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(client.post(path_of(approval), content=twice, headers=headers))
    for more in ({"person": "cy"}, {"choice[]": "approve"}, {"approval_id": "x"}, {"pin2": "x"}):
        refused(client.post(path_of(approval), data={**said, **more}))
    refused(client.post(path_of(approval), params={"choice": "approve"}, data=said))


def led_elsewhere(hall: Hall, approval: Approval) -> None:
    token = hall.link(approval)
    for path in (
        f"/a/{token}?next=//evil.example",
        f"/a/{token}?url=https://evil.example",
        f"/a/{token}?return_to=/\\evil.example",
    ):
        assert hall.client().get(path).headers["location"] == f"/approvals/{approval.id}"
    for path in (f"//evil.example/a/{token}", f"/a//evil.example/{token}", f"/a/{token}/", "/a/..%2f..%2fevil", "/a/"):
        assert hall.client().get(path).headers.get("location", "/").startswith("/")
        assert "evil" not in hall.client().get(path).headers.get("location", "")


def oversized_members(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    for members in (
        {"reason": "x" * 501},
        {"pin": PIN + "0" * 100},
        {"digest": approval.digest + "0"},
        {"csrf": said["csrf"] * 9},
    ):
        refused(client.post(path_of(approval), data={**said, **members}))
    assert client.post(path_of(approval), data={**said, "reason": "x" * 20_000}).status_code == 413
    many = urlencode([(f"f{n}", "") for n in range(1200)])
    refused(client.post(path_of(approval), content=many, headers={"Content-Type": "application/x-www-form-urlencoded"}))


def confused_content_type(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    for kind in ("text/plain", "application/json", "multipart/form-data", "application/x-www-form-urlencoded2", ""):
        refused(client.post(path_of(approval), content=urlencode(said), headers={"Content-Type": kind}))
    refused(client.post(path_of(approval), files={name: (None, text) for name, text in said.items()}))
    refused(client.post(path_of(approval), files={"pin": ("pin.txt", PIN)}, data=said))


def json_to_the_form_and_form_to_the_api(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    refused(client.post(path_of(approval), json=said))
    refused(client.post(f"/v1/approvals/{approval.id}/decisions", json=said))
    bearer = hall.client(hall.token())
    refused(
        bearer.post(f"/v1/approvals/{approval.id}/decisions", data={"choice": "approve", "pin": PIN, "digest": approval.digest})
    )
    refused(bearer.post(path_of(approval), data=said))


def token_in_the_query(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    token, cookie = hall.link(approval, channel="chat"), client.cookies[f"nightshift_link_{approval.id}"]
    for query in ({"token": token}, {"a": token}, {f"nightshift_link_{approval.id}": cookie}, {"access_token": hall.token()}):
        refused(hall.client().get(path_of(approval, ""), params=query))
        refused(hall.client().post(path_of(approval), params=query, data=said))
        refused(hall.client().post(f"/v1/approvals/{approval.id}/decisions", params=query, json=said))


def guessed_pins(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    answers = [client.post(path_of(approval), data={**said, "pin": f"{n:06}"}) for n in range(8)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [409] * 3
    refused(client.post(path_of(approval), data=said))
    assert "too many wrong PINs" in client.post(path_of(approval), data=said).text
    api = hall.client(hall.token()).post(
        f"/v1/approvals/{approval.id}/decisions", json={"choice": "approve", "pin": PIN, "digest": approval.digest}
    )
    refused(api)


def planted_session(hall: Hall, approval: Approval) -> None:
    """The victim's browser is given cookies of the attacker, and the attacker keeps a form of theirs."""
    attacker, theirs = form(hall, approval)
    victim = hall.signed_in("cy")
    victim.get(f"/a/{hall.link(approval, 'bo', 'planted')}")
    assert "Decide as bo" in page_of(victim, approval)
    hall.ward.change(people=(person("ana"), person("bo", "viewer"), person("cy")))
    refused(victim.post(path_of(approval), data=theirs))
    refused(
        victim.post(path_of(approval), data=yes(page_of(attacker, approval)) if "pin" in page_of(attacker, approval) else theirs)
    )


def forwarded_headers(hall: Hall, approval: Approval) -> None:
    stranger = hall.client()
    headers = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-User": "bo",
        "X-Remote-User": "bo",
        "X-Original-URL": path_of(approval),
        "X-Rewrite-URL": path_of(approval),
        "Forwarded": "for=127.0.0.1;host=evil.example",
        "X-On-Behalf-Of": "bo",
    }
    refused(stranger.get(path_of(approval, ""), headers=headers))
    refused(stranger.post(path_of(approval), data={"choice": "approve", "pin": PIN, "digest": approval.digest}, headers=headers))
    client, said = form(hall, approval, pin="000000")
    answer = client.post(path_of(approval), data=said, headers=headers)
    refused(answer)
    assert "evil.example" not in answer.text + str(dict(answer.headers))


def head_with_a_body(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    body = urlencode(said)
    for path in (path_of(approval, ""), path_of(approval), f"/a/{hall.link(approval, channel='chat')}"):
        for method in ("HEAD", "GET"):
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
            assert client.request(method, path, content=body, headers=headers).status_code in (200, 303, 405)


def odd_paths(hall: Hall, approval: Approval) -> None:
    """No other spelling of an address passes a guard: once without the cookie, once without the CSRF token."""
    client, said = form(hall, approval)
    unproven: tuple[tuple[dict[str, str], dict[str, str]], ...] = ({}, said), ({"Cookie": _cookies(client)}, {**said, "csrf": ""})
    address = urlsplit(hall.url)
    for path in (
        f"/approvals/{approval.id}/decide/",
        f"/approvals//{approval.id}/decide",
        f"/approvals/x/../{approval.id}/decide",
        f"/approvals/%2e%2e/{approval.id}/decide",
        f"/approvals/{approval.id}%2fdecide",
        f"/approvals/{approval.id}%00/decide",
        f"/approvals/{approval.id.upper()}/decide",
        f"/approvals/{approval.id};x=1/decide",
        f"/approvals/{approval.id}/decide?x=1",
        f"/approvals/{approval.id}/decide%0d%0aX-Evil:%201",
        f"http://evil.example/approvals/{approval.id}/nothing",
    ):
        for proof, members in unproven:
            raw = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
            raw.request("POST", path, urlencode(members), {"Content-Type": "application/x-www-form-urlencoded", **proof})
            with closing(raw), closing(raw.getresponse()) as answer:
                assert answer.status >= 400 or (answer.getheader("location") or "").partition("?")[0] == "/login", path


def viewer(name: str) -> Person:
    return Person.model_validate({"name": name, "roles": {PROD: ("viewer",)}, "pin_hash": pin_hash()})


def names_that_look_alike(hall: Hall, approval: Approval) -> None:
    """A person whose name looks like bo's, has no role there, and knows bo's PIN."""
    for name in ("bo ", "bo\u200b", "b\u006f\u0301", "bo for ana", "operator"):
        with pytest.raises(ValidationError):
            viewer(name)
    alike = ("b\u043e", "BO", "b\u00f3")
    hall.ward.change(people=(person("ana"), person("bo"), *map(viewer, alike)))
    for name in alike:
        client = hall.signed_in(name)
        page = page_of(client, approval)
        assert 'name="pin"' not in page
        csrf = page.split('name="csrf" value="')[1].split('"')[0]
        said = {"csrf": csrf, "digest": approval.digest, "choice": "approve", "reason": "x", "pin": PIN}
        refused(client.post(path_of(approval), data=said))
        bearer = hall.client(hall.token(name=name))
        refused(bearer.post(f"/v1/approvals/{approval.id}/decisions", json={n: said[n] for n in ("digest", "choice", "pin")}))


def bodies_cut_short(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    body = urlencode(said)
    cut = body[: body.index("pin=") + 6]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(client.post(path_of(approval), content=cut, headers=headers))
    refused(client.post(path_of(approval), content=body.replace("&", ";"), headers=headers))
    refused(client.post(path_of(approval), content=body.encode("utf-16"), headers=headers))
    refused(client.post(path_of(approval), content=b"", headers=headers))


def other_digest(hall: Hall, approval: Approval) -> None:
    client, said = form(hall, approval)
    for digest in ("0" * 64, "", approval.digest.upper(), approval.digest[:-1], f" {approval.digest}"):
        refused(client.post(path_of(approval), data={**said, "digest": digest}))


def own_link_and_session_of_whoever_asked(hall: Hall, approval: Approval) -> None:
    """ana asked for it: no way in is one to her own yes."""
    said = {"digest": approval.digest, "choice": "approve", "reason": "x", "pin": PIN}
    for client in (hall.opened(approval, "ana"), hall.signed_in("ana")):
        page = page_of(client, approval)
        assert 'name="pin"' not in page
        for csrf in re.findall(r'name="csrf" value="([^"]+)"', page) or [""]:
            refused(client.post(path_of(approval), data={**said, "csrf": csrf}))
    refused(hall.client(hall.token(name="ana")).post(f"/v1/approvals/{approval.id}/decisions", json=said))


SCRIPTS: tuple[Script, ...] = (
    replay_of_a_decision_that_was_made,
    form_without_csrf_token,
    csrf_token_of_somebody_else,
    form_from_another_site,
    another_host_in_the_header,
    forged_cookie,
    cookie_of_another_approval,
    overridden_method,
    polluted_parameters,
    led_elsewhere,
    oversized_members,
    confused_content_type,
    json_to_the_form_and_form_to_the_api,
    token_in_the_query,
    guessed_pins,
    planted_session,
    forwarded_headers,
    head_with_a_body,
    odd_paths,
    names_that_look_alike,
    bodies_cut_short,
    other_digest,
    own_link_and_session_of_whoever_asked,
)


@pytest.mark.parametrize("attack", SCRIPTS, ids=lambda attack: str(attack.__name__))
def test_a_hostile_script_changes_no_state(hall_here: Hall, attack: Script) -> None:
    approval = hall_here.ward.ask()
    hall_here.freeze_picture()
    attack(hall_here, approval)
    # Links and tokens that the script made for itself are its means, and only it made them.
    unmoved = (*COUNTING, "links", "tokens", "audit")
    assert hall_here.picture(unmoved) == {name: rows for name, rows in hall_here.frozen.items() if name not in unmoved}
    verbs = {entry.verb for entry in hall_here.ward.audit()[: -hall_here.audited]}
    assert verbs <= {"person.link_made", "person.signed_in", "person.pin_locked"}


def test_the_form_that_the_scripts_bend_decides_when_it_is_left_as_it_is(hall_here: Hall) -> None:
    """Else nothing above would prove anything."""
    approval = hall_here.ward.ask()
    client, said = form(hall_here, approval)
    assert client.post(path_of(approval), data=said).status_code == 303
    assert hall_here.ward.approval(approval.id).state is ApprovalState.APPROVED


def test_an_unknown_and_a_known_token_take_the_same_way() -> None:
    """By their code, not by a clock: one look-up by the hash, whatever was sent, and no comparison with a token anywhere."""
    opened = ast.parse(textwrap.dedent(inspect.getsource(open_link)))
    calls = [node.func.id for node in ast.walk(opened) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert calls == ["read_link", "hash_token"]
    assert not any(isinstance(node, ast.If | ast.Compare) for node in ast.walk(opened))
    reading = inspect.getsource(linking.read_link)
    assert reading.index("links.by_hash(connection, sha256)") < reading.index("if link is None")


def _cookies(client: httpx.Client) -> str:
    return "; ".join(f"{name}={text}" for name, text in client.cookies.items())
