"""Worker processes that end where they are told to: by SIGKILL, before or after the Nth commit, or in the middle of a step.

Or stand still there, by SIGSTOP: `stop:3` is after the third commit. `ms:250` is after so many milliseconds, wherever that is.

Without arguments: reads lines of `[[run, break], …]`, forks a life for each, and answers with their exit statuses.
With two: lives one life itself.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from itertools import count

from sqlalchemy import Connection, Engine, event

from tests.support.mending import DIES
from worker import logs
from worker.flow import execute_run
from worker.records import RunKind
from worker.wiring import House, open_house

WRITES = re.compile(r"(?<!FOR )\b(UPDATE|INSERT|DELETE)\b")


def live(house: House, run_id: str, at: str) -> None:
    """One life, from claim to outcome, or to its break."""
    when, _, where = at.partition(":")
    if when == "job":
        os.environ[DIES] = where
    elif when == "ms":
        timer = threading.Timer(int(where) / 1000, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    elif when:
        break_at(house.ledger.engine, when, int(where))
    execute_run(house.shift, run_id, "slots", f"victim-{os.getpid()}@test", [RunKind.EFFECT])


def break_at(engine: Engine, when: str, number: int) -> None:
    """Die `before` or `after` the Nth commit of this thread (the heartbeat's do not count); or `stop` after it."""
    us, commits, done = threading.get_ident(), count(1), list[int]()

    def commits_now() -> None:
        if threading.get_ident() != us or next(commits) != number:
            return
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(number)

    @event.listens_for(engine, "commit")
    def on_commit(_: object) -> None:
        commits_now()

    @event.listens_for(engine, "before_cursor_execute")
    def on_statement(connection: Connection, _: object, statement: str, *__: object) -> None:
        # What PostgreSQL is told in one statement commits by itself.
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT" and WRITES.search(statement):
            commits_now()

    @event.listens_for(engine, "checkin")
    def on_checkin(_: object, __: object) -> None:
        if done and threading.get_ident() == us:
            done.clear()
            os.kill(os.getpid(), signal.SIGSTOP if when == "stop" else signal.SIGKILL)
            # Of several threads, the one that asks may go on for a moment.
            time.sleep(0.5)


def fork(house: House, run_id: str, at: str) -> int:
    child = os.fork()
    if child:
        return child
    try:
        live(house, run_id, at)
    finally:
        os._exit(0)


def main() -> None:
    # What is said, by logs too, is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    house = open_house()
    logs.configure(house.settings.log_format, house.settings.log_level)
    if len(sys.argv) > 1:
        live(house, sys.argv[1], sys.argv[2])
        return
    # Made before any fork; the engine is made by each child.
    _ = house.shift, house.jobs
    for line in sys.stdin:
        children = {fork(house, run_id, at): run_id for run_id, at in json.loads(line)}
        statuses = {run_id: os.waitpid(child, 0)[1] for child, run_id in children.items()}
        answers.write(json.dumps(statuses) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
