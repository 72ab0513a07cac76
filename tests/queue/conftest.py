"""One stack a module: a worker and a Flower take four seconds to start."""

from collections.abc import Iterator

import pytest

from tests.servers import RedisServer
from tests.support.stack import Flower, Stack


@pytest.fixture(scope="module")
def stack(_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """On Redis, without a worker yet."""
    _redis.wipe()
    with Stack(tmp_path_factory.mktemp("queue") / "home", _redis.url) as running:
        yield running


@pytest.fixture(scope="module")
def flower(stack: Stack) -> Flower:
    """Flower beside one worker, `one@here`."""
    stack.worker()
    return stack.flower()
