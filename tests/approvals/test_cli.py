"""Requests at the command line: shown whole, decided by a person's own token and PIN, followed to the end."""

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection

from tasks.ask import GATE_ONLY
from tests.approvals.ward import PIN, PROD, pin_hash
from tests.cli.conftest import Cli, Instance, clean_environ, start
from tests.support.mending import lines_of, write
from tests.support.waiting import PATIENCE_SECONDS, until
from worker.ledger import Ledger, approvals
from worker.records import Approval, ApprovalState

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
RULE = """\
[[rule]]
name = "slots"
jobs = ["slots"]
actions = ["write"]
environments = ["prod", "lab"]

[[rule]]
name = "gates"
jobs = ["ask"]
actions = ["gate"]
environments = ["prod"]
"""
LAB = "lab"


def estate(home: Path, *doors: str) -> str:
    """Each door has a folder, whose one slot is to hold 1; that of the lab is only proposed to be mended."""
    text = f'[environments.{PROD}]\nmode = "execute"\n[environments.{LAB}]\nmode = "propose"\n'
    for door in (*doors, LAB):
        (home / door).mkdir()
        place = LAB if door == LAB else PROD
        text += f'[[slots]]\nname = "{door}"\nfolder = "{home / door}"\nenvironment = "{place}"\n'
    return text


def people(*names: str) -> str:
    return (
        "".join(
            f'[[person]]\nname = "{name}"\nroles = {{ {PROD} = ["operator"] }}\npin_hash = "{pin_hash()}"\n' for name in names
        )
        + f'[[person]]\nname = "eve"\nroles = {{ {PROD} = ["viewer"] }}\npin_hash = "{pin_hash()}"\n'
    )


DOORS = tuple(f"door-{number}" for number in range(12))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running instance with a job that mends; each test takes a door of its own."""
    home = tmp_path_factory.mktemp("live")
    home.chmod(0o700)
    (home / "estate.toml").write_text(estate(home, *DOORS))
    (home / "people.toml").write_text(people("ana", "bo"))
    (home / "policy.toml").write_text(RULE)
    environ = {**clean_environ(home), "NIGHTSHIFT_JOBS": "tests.support.mending:SLOTS", "PYTHONPATH": str(ROOT)}
    instance = start(Cli(home, environ))
    yield instance
    instance.end()


@pytest.fixture(scope="module")
def requests_made(live: Instance) -> Iterator[Approval]:
    """One pending request a door, each for one test."""
    live.cli("run", "slots")
    with reading(live.cli) as connection:
        return iter(approvals.listing(connection, environments=[PROD]))


@pytest.fixture(scope="module")
def bo(live: Instance) -> Cli:
    """The command line with bo's own token."""
    return live.cli.with_environ(NIGHTSHIFT_TOKEN=live.cli("token", "create", "--person", "bo").strip())


@pytest.fixture
def request_made(requests_made: Iterator[Approval]) -> Approval:
    """A pending request of a door that no other test has touched."""
    return next(requests_made)


@contextmanager
def reading(cli: Cli) -> Iterator[Connection]:
    """The ledger of that home: a look of our own is sooner than a command."""
    with closing(Ledger(f"sqlite:///{cli.home}/ledger.db")) as ledger, ledger.read() as connection:
        yield connection


def as_it_is(cli: Cli, request: Approval) -> Approval:
    with reading(cli) as connection:
        found = approvals.get(connection, request.id)
    assert found is not None
    return found


def values(cli: Cli, request: Approval) -> list[int]:
    """What was ever written into the one slot of that door."""
    return [value for value, _ in lines_of(str(cli.home / request.entry), "a")]


def refused(cli: Cli, *args: str, typed: str | None = None) -> str:
    """What it says when it refuses."""
    done = subprocess.run(
        cli.argv(*args), env=cli.environ, input=typed, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_request_is_listed_and_shown_whole(live: Instance, request_made: Approval) -> None:
    tail = request_made.id[-12:]
    assert tail in live.cli("approvals", "--job", "slots", "--environment", PROD)
    told = live.cli("approval", tail)
    for part in (request_made.digest, "write-a", "+ ", "medium", "ana, bo", "approval.asked", "slots: 1 must agree"):
        assert part in told
    shown = live.cli.json("approval", request_made.id)
    assert shown["plan"]["steps"][0]["after"] == 1
    assert shown["deciders"] == ["ana", "bo"]
    assert shown["simulation"].startswith("- ")


def test_a_yes_is_followed_until_the_change_is_verified(live: Instance, bo: Cli, request_made: Approval) -> None:
    done = bo.json("approve", request_made.id[-12:], "--digest", request_made.digest[:12], "--wait", typed=PIN)
    assert (done["state"], done["run"]["verdict"]) == ("carried_out", "verified")
    assert [(one["person"], one["via"]) for one in done["decisions"]] == [("bo", "cli")]
    assert values(live.cli, request_made) == [1]
    told = live.cli("approval", request_made.id)
    assert "carried_out" in told
    assert "applied" in told
    verbs = [row["verb"] for row in live.cli.json("audit", "list", "--of", request_made.id[-12:])]
    assert verbs == ["approval.carried_out", "approval.approved", "approval.approved_by", "approval.asked"]


def decide(cli: Cli, request: Approval, *more: str, verb: str = "approve") -> str:
    return cli(verb, request.id, "--digest", request.digest, *more, typed=PIN)


def may_not(cli: Cli, request: Approval, *more: str, verb: str = "approve", pin: str = PIN) -> str:
    return refused(cli, verb, request.id, "--digest", request.digest, *more, typed=pin)


def test_a_no_needs_a_reason_and_ends_the_request(live: Instance, bo: Cli, request_made: Approval) -> None:
    assert "`reason` is empty" in may_not(bo, request_made, "--reason", " ", verb="deny")
    assert "not asked again for 7d" in decide(bo, request_made, "--reason", "not before the sale", verb="deny")
    assert "not before the sale" in live.cli("approval", request_made.id)
    assert "is denied by person:bo" in may_not(bo, request_made)
    assert request_made.id not in str(live.cli.json("approvals"))
    assert request_made.id in str(live.cli.json("approvals", "--state", "denied"))


def test_a_yes_to_a_gate_is_said_to_start_nothing(live: Instance, bo: Cli) -> None:
    token = live.cli("token", "create", "gatekeeper", "--role", "n8n").strip()
    asked = httpx.post(
        f"{live.facts['url']}/v1/asks",
        json={"subject": "Deploy shop 1.2.3", "body": "A new basket.", "payload_sha256": "a" * 64, "environment": PROD},
        headers={"Authorization": f"Bearer {token}", "Prefer": "wait=60"},
        timeout=PATIENCE_SECONDS,
    )
    assert asked.status_code == 201, asked.text
    request = asked.json()["approval_id"]
    digest = live.cli.json("approval", request)["digest"]
    assert GATE_ONLY in live.cli("approval", request)
    told = bo("approve", request, "--digest", digest, "--wait", typed=PIN)
    assert "whoever asked may use this yes once" in told
    assert GATE_ONLY in told
    assert "carries it out" not in told


def test_the_token_of_a_machine_never_decides(live: Instance, request_made: Approval) -> None:
    machine = live.cli.with_environ(NIGHTSHIFT_TOKEN=live.cli("token", "create", "canvas", "--role", "n8n").strip())
    assert "n8n:canvas can ask and cannot decide" in may_not(machine, request_made)
    assert as_it_is(live.cli, request_made).state is ApprovalState.PENDING


def test_whoever_may_not_decide_and_whoever_does_not_know_the_pin_is_refused(
    live: Instance, bo: Cli, request_made: Approval, tmp_path: Path
) -> None:
    eve = tmp_path / "token"
    eve.write_text(live.cli("token", "create", "--person", "eve"))
    assert "eve has no role that decides" in may_not(live.cli, request_made, "--token-file", str(eve))
    assert "wrong PIN" in may_not(bo, request_made, pin="000000")
    assert "whose decision is it?" in may_not(live.cli, request_made)
    with reading(live.cli) as connection:
        assert approvals.decisions(connection, request_made.id) == []


def test_without_a_terminal_the_plan_that_was_seen_is_named(live: Instance, bo: Cli, request_made: Approval) -> None:
    assert "name what you saw by --digest" in refused(bo, "approve", request_made.id, typed=PIN)
    for digest in (request_made.digest[:8], request_made.digest[:-1] + "g"):
        assert "look again" in refused(bo, "approve", request_made.id, "--digest", digest, typed=PIN)
    assert as_it_is(live.cli, request_made).state is ApprovalState.PENDING


def at_terminal(cli: Cli, *args: str, keys: str) -> tuple[str, int]:
    """Everything that the terminal showed, and the exit code."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            cli.argv(*args), env=cli.environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        shown = ""
        for key in keys.splitlines():
            # The last space is shown once the terminal has forgotten what was typed before; what is typed earlier is lost.
            shown = _until(master, ("PIN of bo: " if key.isdigit() else "[y/N]: ",), shown)
            os.write(master, f"{key}\n".encode())
            shown += "\n--\n"
        return _until(master, (), shown), process.wait(PATIENCE_SECONDS)
    finally:
        os.close(master)


def _until(master: int, marks: tuple[str, ...], shown: str) -> str:
    """Until a mark is shown after the last key, or the other side has closed."""
    while not marks or not any(mark in shown.rpartition("--")[2] for mark in marks):
        try:
            read = os.read(master, 4096)
        except OSError:
            break
        if not read:
            break
        shown += read.decode(errors="replace")
    return shown


def test_at_a_terminal_the_plan_is_shown_and_a_yes_and_a_pin_are_asked_for(bo: Cli, request_made: Approval) -> None:
    shown, code = at_terminal(bo, "approve", request_made.id, "--wait", keys=f"y\n{PIN}\n")
    assert code == 0, shown
    assert shown.index(request_made.digest) < shown.index("[y/N]") < shown.index("PIN of bo")
    assert "step write-a: applied" in shown
    assert PIN not in shown


def test_at_a_terminal_anything_but_a_yes_decides_nothing(live: Instance, bo: Cli, request_made: Approval) -> None:
    shown, code = at_terminal(bo, "approve", request_made.id, keys="n\n")
    assert (code, "nothing was decided" in shown, "PIN" in shown) == (1, True, False)
    assert as_it_is(live.cli, request_made).state is ApprovalState.PENDING


def test_a_request_is_revoked_with_a_reason(live: Instance, bo: Cli, request_made: Approval) -> None:
    assert "revoked" in live.cli("revoke", request_made.id[-12:], "--reason", "the wrong door")
    assert "is revoked by cli:" in may_not(bo, request_made)
    assert "has ended already" in live.cli("revoke", request_made.id, "--reason", "again", code=1)
    assert "only a pending proposal is dismissed" in live.cli("dismiss", request_made.id, "--reason", "x", code=1)


def test_what_is_only_proposed_has_no_yes_and_is_dismissed(live: Instance, bo: Cli, requests_made: Iterator[Approval]) -> None:
    with reading(live.cli) as connection:
        (proposed,) = approvals.listing(connection, environments=[LAB])
    assert "only proposed: there is no yes to give" in may_not(bo, proposed)
    assert "dismissed: not shown again for 7d" in live.cli("dismiss", proposed.id, "--reason", "we know")
    assert as_it_is(live.cli, proposed).state is ApprovalState.DENIED


def test_a_yes_while_frozen_says_so_and_begins_after_thaw(live: Instance, bo: Cli, request_made: Approval) -> None:
    live.cli("freeze", "--reason", "the sales week")
    try:
        assert "frozen by cli:" in decide(bo, request_made)
        assert values(live.cli, request_made) == []
    finally:
        live.cli("thaw", "--reason", "it is over")
    until("it is carried out", lambda: as_it_is(live.cli, request_made).state is ApprovalState.CARRIED_OUT)
    assert values(live.cli, request_made) == [1]


def test_what_was_done_is_taken_back_only_by_another_yes(live: Instance, bo: Cli, request_made: Approval) -> None:
    decide(bo, request_made, "--wait")
    run_id = as_it_is(live.cli, request_made).effect_run_id
    assert run_id is not None
    assert "looked again: verified" in live.cli("runs", run_id)
    asked = live.cli.json("undo", run_id[-12:], "--reason", "it was the wrong one")
    assert values(live.cli, request_made) == [1]
    bo("approve", asked["id"], "--digest", asked["digest"], "--wait", typed=PIN)
    assert values(live.cli, request_made) == [1, 0]
    assert "reason" in refused(live.cli, "undo", run_id, "--reason", " ")


def test_a_world_that_moved_is_not_changed_and_the_wait_ends_with_1(live: Instance, bo: Cli, request_made: Approval) -> None:
    write(str(live.cli.home / request_made.entry), "a", 7, "somebody-else")
    may_not(bo, request_made, "--wait")
    assert as_it_is(live.cli, request_made).state is ApprovalState.SUPERSEDED
    assert values(live.cli, request_made) == [7]
