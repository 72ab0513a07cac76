"""Secrets planted all over a stack, and in its worker, turn up nowhere in a whole night; and the program finds only its own."""

import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from tests.drift.fleet import Fleet, environment_of, estate, fleet, hanging, looking
from tests.lab.lab import PASSPHRASE, Lab, LabStack
from tests.lab.program import Program, Resource, secret
from tests.servers import RedisServer
from tests.support.mail import MailServer, mail_server
from tests.support.stack import Flower
from worker.flow.nights import close_night_now
from worker.ledger.tables import METADATA
from worker.records import Actor, ActorKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CANARY = "canary-51ce-"
PLANTED = re.compile(f"{CANARY}[a-z]+|{PASSPHRASE}")
PROGRAM = Program(
    resources={
        "vault": Resource(properties={"size": 1, "password": f"{CANARY}program", "label": secret(f"{CANARY}marked")}),
        "keyed": Resource(properties={"size": 1, "label": "${token}"}),
        "open": Resource(properties={"size": 1}),
    },
    outputs={"key": secret(f"{CANARY}output"), "password": "${vault.password}"},
    configuration={"token": "unset"},
)
WORKER = {"UNRELATED_PASSWORD": f"{CANARY}worker", "OF_THE_LOOK": f"{CANARY}variable", "OF_THE_BACKEND": f"{CANARY}backend"}
ENTRY = {"variables": {"FAKE_TOKEN": "env:OF_THE_LOOK"}, "credentials": {"STATE_KEY": "env:OF_THE_BACKEND"}}
ROUTES = """\
[channels.mail]
kind = "email"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "night@example.test"
recipients = ["ana@example.test"]

[[routes]]
channels = ["mail"]

[digest]
channels = ["mail"]
"""


def planted(lab: Lab) -> LabStack:
    """Secrets in program, configuration, state and outputs; then each is changed in the cloud, to another secret."""
    stack = lab.stack(PROGRAM, up=False)
    assert lab.run(stack, "config", "set", "--secret", "token", f"{CANARY}configuration").exit_code == 0
    lab.up(stack)
    lab.cloud.change(stack.id("vault"), password=f"{CANARY}cloud", label=f"{CANARY}edited")
    lab.cloud.change(stack.id("keyed"), label=f"{CANARY}typed")
    lab.cloud.change(stack.id("open"), size=9)
    return stack


@contextmanager
def listening(server: RedisServer) -> Iterator[list[str]]:
    """Everything that anybody says to it."""
    heard, over = list[str](), threading.Event()
    with redis.Redis(unix_socket_path=str(server.socket), socket_timeout=None) as client, client.monitor() as monitor:

        def listen() -> None:
            for said in monitor.listen():
                heard.append(str(said))
                if over.is_set():
                    return

        thread = threading.Thread(target=listen, name="queue", daemon=True)
        thread.start()
        yield heard
        over.set()
        with server.client() as last:
            last.ping()
        thread.join(60)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


def test_what_is_secret_in_a_stack_or_its_worker_is_nowhere_after_a_night(
    lab: Lab, tmp_path: Path, redis_server: RedisServer, server: MailServer
) -> None:
    stack = planted(lab)
    lab.cloud.turn(read_seconds=1)
    routes = ROUTES.format(port=server.port)
    more = {"NIGHTSHIFT_BROKER_URL": redis_server.url, "NIGHTSHIFT_LOG_LEVEL": "debug", "FLOWER_UNAUTHENTICATED_API": "true"}
    told: dict[str, str] = {}
    with (
        listening(redis_server) as heard,
        fleet(tmp_path, lab, estate(lab, [stack], {stack.name: ENTRY}), "--flower", routes=routes, **more, **WORKER) as night,
    ):
        batch_id = night.joins()["batch"]["id"]
        found = environments(night)
        ended = night.ended(batch_id)
        assert ended["report"] == "looked at 1 of 1, 1 drifted"
        night.until("findings are told", lambda: len(server.mails) >= 1)
        close_night_now(night.house.shift, night.house.routing(), night.instance.facts["url"], Actor(ActorKind.CLI, "test"))
        night.until("the digest is sent", lambda: any("Night of" in str(mail["Subject"]) for mail in server.mails))
        [run] = ended["runs"]
        told["api"] = "".join(night.ana.get(f"/v1/{what}").text for what in ("findings", "approvals", f"runs/{run['id']}"))
        flower = Flower(int(night.instance.facts["flower"].rpartition(":")[2]))
        told["flower"] = str(flower.shows(run["id"], "SUCCESS"))
        told["rows"] = every_row(night)
        told["command line"] = night.cli("findings") + night.cli("digest")
    told["queue"] = "\n".join(unpacked(said) for said in heard)
    told["mails"] = "".join(str(mail["Subject"]) + str(part.get_content()) for mail in server.mails for part in texts(mail))
    told["files"] = "\n".join(every_file(tmp_path / "home", tmp_path / "tmp"))

    assert {where: PLANTED.findall(text) for where, text in told.items()} == {where: [] for where in told}
    assert batch_id in told["api"]
    assert run["id"] in told["queue"], "the queue was heard"
    assert '"(secret)"' in told["api"], "what differs in secret is told of without its values"
    assert "size 1 → 9" in told["api"] + told["mails"]
    assert found, "no process of a look was seen"
    for environment in found:
        assert f"{CANARY}worker" not in environment.values()
        assert not {name for name in environment if name.startswith("NIGHTSHIFT_")} - {"NIGHTSHIFT_KEEPER"}
        assert (environment["FAKE_TOKEN"], environment["STATE_KEY"]) == (f"{CANARY}variable", f"{CANARY}backend")


def environments(night: Fleet) -> list[dict[str, str]]:
    """Of the CLI, the language host, the provider: of all that are there while a look waits for its provider."""
    seen: dict[int, dict[str, str]] = {}

    def some() -> bool:
        seen.update({pid: environment_of(pid) for pid in looking(night.lab)})
        return bool(hanging(night.lab))

    night.until("a look is at work", some)
    return [environment for environment in seen.values() if environment]


def texts(mail: EmailMessage) -> list[EmailMessage]:
    return [part for part in mail.walk() if part.get_content_maintype() == "text"]


def unpacked(said: str) -> str:
    """A command to the broker, with what Celery packed into it."""
    packed = re.findall(r"[A-Za-z0-9+/]{24,}={0,2}", said)
    return "\n".join([said, *(b64decode(one + "=" * (-len(one) % 4)).decode(errors="replace") for one in packed)])


def every_row(night: Fleet) -> str:
    with night.house.ledger.read() as connection:
        return "\n".join(str(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table)))


def every_file(*folders: Path) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield f"{path}: {path.read_bytes().decode(errors='replace')}"
