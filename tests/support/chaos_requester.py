"""Enqueues batches as fast as it can until it is killed: `python -m tests.support.chaos_requester`. Prints what was accepted."""

from tests.support.chaos import request
from worker.flow import enqueue
from worker.wiring import open_house


def main() -> None:
    house = open_house()
    number = 0
    while True:
        number += 1
        made = enqueue(house.shift, request(f"requester-{house.seat}-{number}", runs=3, sleep_ms=1))
        print(made.batch.id, flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
