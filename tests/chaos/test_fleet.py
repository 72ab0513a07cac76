"""A night over a fleet, with a member that hangs and a worker that is killed: it completes, within its bounds, and says so."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.chaos.conftest import PAIRS
from tests.support.chaos import ASKER, Storm, storm
from worker.flow import Order, Request, enqueue
from worker.flow.results import fan_in
from worker.ledger import runs, tallies
from worker.ledger.tables import BATCHES, RUNS
from worker.records import RunState, Trigger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MEMBERS = 40
AT_ONCE, HEAVY_AT_ONCE = 2, 3
ESTATE = """
[accounts.slow]
at_once = 2
"""


def estate() -> str:
    """Two in three of one slow account; two drifted, two that cannot be told about, one that hangs."""
    says = {3: "drifted", 30: "drifted", 7: "cannot_tell", 33: "cannot_tell"}
    rows = []
    for number in range(MEMBERS):
        account = 'account = "slow"' if number % 3 else ""
        hangs = "hangs = true" if number == 1 else ""
        told = f'memory_mb = 300\nseconds = 0.1\nsays = "{says.get(number, "ok")}"'
        rows.append(f'[[fleet]]\nname = "m{number:02}"\n{told}\n{account}\n{hangs}\n')
    return ESTATE + "\n".join(rows)


@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_a_fleet_completes_through_kills_and_a_member_that_hangs_and_never_outgrows_its_bounds(
    url_of_ledger: str, broker_url: str | None, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "estate.toml").write_text(estate())
    settings = {"JOBS": "tests.support.fleet_job:JOB", "MEMORY_MB": "1000"}
    with storm(home, url_of_ledger, broker_url, **settings) as weather:
        batch = enqueue(weather.house.shift, Request(orders=[Order(job="fleet")], trigger=Trigger.CLI, actor=ASKER)).batch
        watch = Watch(weather)
        for victim, done in (("group", 5), ("main", 15), ("child", 25)):
            weather.until("some are done", lambda done=done: bool(weather.worker) and weather.count(RunState.SUCCEEDED) >= done)  # type: ignore[misc]
            weather.worker.kill(victim, None)  # type: ignore[arg-type]
        weather.until("the night completes", lambda: bool(weather.worker) and ended(weather))
        watch.end()
        with weather.house.ledger.read() as connection:
            found = runs.of_batch(connection, batch.id)
            said = tallies.of_batches(connection, [batch.id])
        states = {run.params["entries"][0]: (run.state, run.reason) for run in found}  # type: ignore[index]
        assert states.pop("m01") == (RunState.FAILED, "time_limit")
        assert set(states.values()) == {(RunState.SUCCEEDED, None)}
        report = fan_in(tallies.looked_at(said), batch.entries_expected, tallies.summed(said))
        assert report == "looked at 39 of 40, 2 drifted, 2 cannot tell"
        assert watch.most_of_account == AT_ONCE
        assert watch.most_of_worker == HEAVY_AT_ONCE
        assert watch.looks > 10


def ended(weather: Storm) -> bool:
    with weather.house.ledger.read() as connection:
        return connection.execute(select(BATCHES.c.ended_at)).scalar_one() is not None


class Watch:
    """Looks all the time at how many run at once."""

    def __init__(self, weather: Storm) -> None:
        self.most_of_account = self.most_of_worker = self.looks = 0
        self._weather = weather
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.most_of_account = max(self.most_of_account, self._most(RUNS.c.account))
            self.most_of_worker = max(self.most_of_worker, self._most(RUNS.c.worker))
            self.looks += 1

    def _most(self, column: object) -> int:
        going = select(func.count()).where(RUNS.c.state == RunState.RUNNING, column.is_not(None)).group_by(column)  # type: ignore[attr-defined,arg-type]
        with self._weather.house.ledger.read() as connection:
            return max(connection.execute(going).scalars(), default=0)
