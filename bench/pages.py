"""What people wait for who decide: the page of a request while fifty others read, and the list when ten thousand wait."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import httpx
from sqlalchemy import insert, text

from bench.programs import Program, wait_until
from bench.systems import ME
from bench.table import Row, middle
from tests.approvals.ward import pin_hash
from tests.servers import PostgresServer
from tests.servers.process import free_port
from worker import wiring
from worker.api.auth import COOKIE
from worker.configuration import apply, check
from worker.flow import Order, Request, enqueue, execute_run
from worker.flow.api_tokens import create_token
from worker.flow.linking import mint
from worker.flow.signing_in import make_login_link
from worker.ledger import approvals
from worker.ledger.approval_tables import APPROVALS
from worker.ledger.rows import new_id
from worker.ledger.schema import migrate
from worker.records import Approval, ApprovalState, Trigger
from worker.settings import load_settings
from worker.tokens import grants_of_role

READERS, SECONDS, WAITING, LOOKS = 50, 10.0, 10_000, 40
_MS = 1000.0


def compare(folder: Path, postgres: PostgresServer) -> list[Row]:
    """Four rows, of one gateway."""
    with _gateway(folder / "pages", postgres) as (house, url, approval):
        paths = [_opened(house, url, approval, number) for number in range(READERS)]
        asyncio.run(_read(url, approval, paths, pause=0.5))
        calm = asyncio.run(_read(url, approval, paths, pause=1.0))
        busy = asyncio.run(_read(url, approval, paths, pause=0.0))
        _wait(house, approval)
        token = create_token(house.shift, "bench", grants_of_role("viewer"), ME, lifetime=timedelta(days=1)).text
        listed = _listed(url, "/v1/approvals?limit=100", token)
        page = _listed(url, "/approvals", _session(house, url))
    return [
        Row(
            what=f"decision page, ms p95, {READERS} readers, a page a second each",
            ours=f"{_p95(calm):.0f} ms p95, {middle(calm) * _MS:.0f} ms p50",
            value=_p95(calm),
            goal="<= 50",
        ),
        Row(
            what=f"decision pages/s, {READERS} readers without a pause, one gateway",
            ours=f"{len(busy) / SECONDS:.0f}/s, {_p95(busy):.0f} ms p95",
            value=len(busy) / SECONDS,
            goal=f">= {READERS}",
        ),
        Row(what=f"list of {WAITING:,} waiting, API, ms p95", ours=f"{_p95(listed):.0f} ms", value=_p95(listed), goal="<= 100"),
        Row(what=f"list of {WAITING:,} waiting, page, ms p95", ours=f"{_p95(page):.0f} ms", value=_p95(page), goal="<= 100"),
    ]


def _p95(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=20)[-1] * _MS


def _opened(house: wiring.House, url: str, approval: Approval, number: int) -> str:
    """The cookie of a browser in which a link was opened; each reader has their own."""
    token = mint(house.shift, approval, "bo", f"mail-{number}")
    answer = httpx.get(f"{url}/a/{token}", trust_env=False)
    return answer.headers["set-cookie"].partition(";")[0]


async def _read(url: str, approval: Approval, cookies: Sequence[str], pause: float) -> list[float]:
    """Seconds of each page that any reader got; raw sockets, so that the reading costs the machine little."""
    until = time.perf_counter() + SECONDS
    readers = (_reader(url, approval, cookie, pause, pause * n / len(cookies), until) for n, cookie in enumerate(cookies))
    return [seconds for each in await asyncio.gather(*readers) for seconds in each]


async def _reader(url: str, approval: Approval, cookie: str, pause: float, first: float, until: float) -> list[float]:
    host, _, port = url.removeprefix("http://").partition(":")
    reading, writing = await asyncio.open_connection(host, int(port))
    request = f"GET /approvals/{approval.id} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n".encode()
    taken = []
    await asyncio.sleep(first)
    while (began := time.perf_counter()) < until:
        writing.write(request)
        head = await reading.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reading.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, pause - taken[-1]))
    writing.close()
    return taken


def _wait(house: wiring.House, approval: Approval) -> None:
    """So many more requests wait for an answer."""
    with house.ledger.transaction() as tx:
        rows = [asdict(replace(approval, id=new_id(), subject=f"door {number}")) for number in range(WAITING)]
        tx.execute(insert(APPROVALS), rows)
    with house.ledger.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def _listed(url: str, path: str, proof: str) -> list[float]:
    headers = {"Authorization": f"Bearer {proof}"} if proof.startswith("nst_") else {"Cookie": proof}
    taken = []
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        for _ in range(LOOKS):
            began = time.perf_counter()
            client.get(path).raise_for_status()
            taken.append(time.perf_counter() - began)
    return taken


def _session(house: wiring.House, url: str) -> str:
    token = make_login_link(house.shift, "bo", ME)
    answer = httpx.post(f"{url}/login", data={"token": token}, trust_env=False)
    return f"{COOKIE}={answer.cookies[COOKIE]}"


@contextmanager
def _gateway(home: Path, postgres: PostgresServer) -> Iterator[tuple[wiring.House, str, Approval]]:
    """A gateway in a process of its own over a ledger with one request."""
    home.mkdir()
    _write_files(home)
    environ = {
        "NIGHTSHIFT_HOME": str(home),
        "NIGHTSHIFT_LEDGER_URL": postgres.database_url(postgres.create_database()),
        "NIGHTSHIFT_BROKER_URL": "memory://",
        "NIGHTSHIFT_JOBS": "tests.support.mending:SLOTS",
    }
    house = wiring.House(load_settings(environ).settings)
    migrate(house.ledger)
    _ = house.keys.current_id
    found = check(house.settings.home, house.jobs, house.zone)
    apply(house.ledger, found, actor=ME, note=new_id(), at=datetime.now(UTC))
    asked = enqueue(house.shift, Request(orders=[Order(job="slots")], trigger=Trigger.CLI, actor=ME))
    execute_run(house.shift, asked.runs[0].id, "slots", "bench")
    with house.ledger.read() as connection:
        (approval,) = approvals.listing(connection, states=(ApprovalState.PENDING,))
    url = f"http://127.0.0.1:{free_port()}"
    argv = [sys.executable, "-m", "worker.cli", "gateway", "--port", url.rpartition(":")[2]]
    with Program(argv, environ, home / "gateway.log"):
        wait_until(lambda: _answers(url), "the gateway answers")
        yield house, url, approval


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _write_files(home: Path) -> None:
    (home / "door").mkdir()
    entry = f'[[slots]]\nname = "door"\nfolder = "{home / "door"}"\nenvironment = "prod"\nslots = ["a", "b", "c"]\n'
    (home / "estate.toml").write_text('[environments.prod]\nmode = "execute"\n' + entry)
    people = f'[[person]]\nname = "bo"\nroles = {{ prod = ["operator"] }}\npin_hash = "{pin_hash()}"\n'
    (home / "people.toml").write_text(people)
    rule = '[[rule]]\nname = "slots"\njobs = ["slots"]\nactions = ["write"]\nenvironments = ["prod"]\n'
    (home / "policy.toml").write_text(rule)
