"""A secret planted wherever Nightshift is given one turns up nowhere: no log, row, message, artifact or bell."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import redis
import structlog
from sqlalchemy import select

from notifications.config import RoutesConfig
from tasks.command import JOB as COMMAND
from tasks.command.entry import CommandEntry
from tasks.context import Context, Entry
from tasks.model import Answer, Finding, Severity
from tasks.providers.process import LocalCommands
from tests.relay.web import CRASHED, Waiting, waiting
from tests.servers import RedisServer
from tests.support.mail import MailServer, mail_server
from tests.support.shift import Rig, open_rig, request, scripted, sites
from worker import logs
from worker.flow import Order, enqueue
from worker.ledger import LedgerUnavailable, keepings, telling
from worker.ledger.tables import METADATA
from worker.queue import Bell, make_app
from worker.records import RunState
from worker.relay import CallbackRelay, Chainer, MessageRelay
from worker.secrets import Secrets
from worker.settings import load_settings

CANARY = "canary-5f2b-"
ENVIRON = {"SCRIPT_TOKEN": f"{CANARY}script", "SMTP_PASSWORD": f"{CANARY}smtp", "JOB_TOKEN": f"{CANARY}job"}
LEAK = "import os, sys; t = os.environ['TOKEN']; print(t); print(t, file=sys.stderr); sys.exit(1)"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, as an operator's log would have it."""
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config()
    logs.configure("json", "debug", stream)
    yield stream
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.configure(**before[2])
    logging.captureWarnings(capture=False)


def careless(ctx: Context, entry: Entry) -> Iterator[Answer]:
    """Tells its secret in every way that a job can."""
    secret = ctx.secrets("env:JOB_TOKEN")
    ctx.log.warning("used " + secret, value=secret, nested={"deep": [secret]}, token="never-read-by-us-canary-5f2b-")  # noqa: G003 - as careless as can be
    ctx.progress(1, 2, f"with {secret}")
    ctx.history.record(entry.name, "seen", {"as": secret})
    ctx.artifacts.put("notes.txt", f"it was {secret}".encode())
    ctx.artifacts.put("vault.txt", f"it is {secret}".encode(), secret=True)
    yield Finding(
        entry=entry.name, subject=f"host?{secret}", key=f"k-{secret}", reason="r", severity=Severity.HIGH, title=f"t {secret}",
        detail=secret, evidence={"said": secret, secret: 1}, desired=secret, actual=[secret], recheck=f"curl -u :{secret}",
    )  # fmt: skip
    message = f"cannot go on with {secret}"
    raise RuntimeError(message)


@pytest.fixture
def node() -> Iterator[Waiting]:
    with waiting() as running:
        running.answers = [CRASHED]
        yield running


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def rig(ledger_url: str, tmp_path: Path, logged: io.StringIO) -> Iterator[Rig]:
    leaky = CommandEntry(name="leak", argv=(sys.executable, "-c", LEAK), env={"TOKEN": "env:SCRIPT_TOKEN"})
    tables: dict[str, dict[str, Entry]] = {"sites": sites("a"), "command": {"leak": leaky}}
    secrets = Secrets(environ=ENVIRON, home=tmp_path)
    with open_rig(
        ledger_url, tmp_path, scripted(careless), COMMAND, tables=tables, commands=LocalCommands(), secrets=secrets
    ) as opened:
        yield opened


def every_row(rig: Rig) -> str:
    with rig.ledger.read() as connection:
        return "\n".join(str(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(select(table)))


def the_night(rig: Rig, node: Waiting) -> None:
    callback = rig.shift.keys.encrypt(f"{node.url}{CANARY}url".encode())
    made = enqueue(rig.shift, request(Order(job="sites"), Order(job="command"), callback=callback))
    for run in made.runs:
        outcome = rig.execute(run)
        assert outcome is not None
        assert outcome.state.terminal
    assert rig.run(made.runs[0].id).state is RunState.FAILED
    with closing(httpx.Client(timeout=2)) as client:
        relay = CallbackRelay(rig.shift, client=client)
        relay.step()
        relay.pool.shutdown()


def tell(rig: Rig, server: MailServer) -> None:
    """To a server that wants no password of ours and quotes it, and to one that takes all."""
    mail = {"kind": "email", "host": "127.0.0.1", "port": server.port, "security": "none", "sender": "night@example.org"}
    locked = {**mail, "recipients": ["eve@example.org"], "username": "night", "password": "env:SMTP_PASSWORD"}
    channels = {"mail": {**mail, "recipients": ["ana@example.org"]}, "locked": locked}
    config = RoutesConfig.model_validate({"channels": channels, "routes": [{"channels": ["mail", "locked"]}]})
    MessageRelay(rig.shift, lambda: config, lambda: "http://127.0.0.1:8080").step()


def test_a_night_with_careless_jobs_tells_no_secret(rig: Rig, node: Waiting, server: MailServer, logged: io.StringIO) -> None:
    the_night(rig, node)
    tell(rig, server)
    Chainer(rig.shift, "seat").step()
    assert server.mails
    assert node.got
    told = {
        "log": logged.getvalue(),
        "rows": every_row(rig),
        "mails": "".join(str(mail.get_body(("plain",)).get_content()) for mail in server.mails)  # type: ignore[union-attr]
        + "".join(raw.decode() for raw in server.raw),
        "callback": str(node.got),
    }
    assert {where: CANARY in text for where, text in told.items()} == dict.fromkeys(told, False)
    assert "cannot go on with ***" in told["rows"], "masked, not left out"
    with rig.ledger.read() as connection:
        assert {row.channel for row in telling.deliveries(connection)} == {"callback", "mail", "locked"}


def test_an_artifact_that_was_said_to_be_secret_is_whole_for_who_has_the_key(rig: Rig, node: Waiting) -> None:
    the_night(rig, node)
    with rig.ledger.read() as connection:
        rows = connection.execute(select(METADATA.tables["run_artifacts"])).all()
        by_name = {row.name: keepings.artifact(connection, row.sha256) for row in rows}
    vault, notes = by_name["vault.txt"], by_name["notes.txt"]
    assert vault is not None
    assert notes is not None
    assert rig.shift.keys.decrypt(vault.content.decode()) == f"it is {CANARY}job".encode()
    assert notes.content == b"it was ***"


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_bells_carry_a_run_id_and_nothing_that_was_secret(rig: Rig, redis_server: RedisServer) -> None:
    rig.shift.providers.secrets("env:JOB_TOKEN")
    made = enqueue(rig.shift, request(Order(job="command"), Order(job="sites"), note=f"{CANARY}job"))
    app = make_app(
        broker_url=redis_server.url, transport_options={}, jobs=dict(rig.shift.jobs), shift=lambda: rig.shift,
        drain_seconds=1, concurrency=1,
    )  # fmt: skip
    with closing(app):
        Bell(lambda: app, 100).ring(made.runs)
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        dumped = b"".join(client.dump(key) or b"" for key in client.scan_iter())
        waiting_bells = b"".join(str(client.lrange(key, 0, -1)).encode() for key in client.scan_iter(_type="list"))
    assert made.runs[0].id.encode() in waiting_bells
    assert CANARY.encode() not in dumped + waiting_bells


def test_passwords_in_settings_are_in_no_refusal_and_no_log(tmp_path: Path, logged: io.StringIO) -> None:
    environ = {
        "NIGHTSHIFT_HOME": str(tmp_path),
        "NIGHTSHIFT_LEDGER_URL": f"postgresql://night:{CANARY}ledger@127.0.0.1:1/ledger",
        "NIGHTSHIFT_BROKER_URL": f"redis://:{CANARY}broker@127.0.0.1:1/0",
    }
    from worker.wiring import House  # noqa: PLC0415

    house = House(load_settings(environ, None).settings)
    with pytest.raises(LedgerUnavailable) as refused:
        house.ledger.ping()
    with pytest.raises(redis.ConnectionError) as away:
        redis.Redis.from_url(str(house.broker.url if house.broker else "")).ping()
    logging.getLogger("x").warning("broker %s ledger %s", house.broker, house.settings)
    structlog.get_logger("y").error("away", ledger=house.settings.ledger_url, error=str(away.value))
    house.ledger.close()
    assert CANARY not in str(refused.value) + logged.getvalue()
    assert "broker" in logged.getvalue()
