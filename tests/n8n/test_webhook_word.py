"""A webhook of n8n with Header Auth compares one header, so a subscription may name the word that it asks for."""

from collections.abc import Iterator

import pytest

from tests.api.kit import problem
from tests.n8n.gatehouse import Gatehouse
from tests.relay.web import Waiting, waiting
from worker.relay import EventRelay

WORD = "a-word-of-the-webhook"


@pytest.fixture
def hook() -> Iterator[Waiting]:
    with waiting() as listening:
        yield listening


def test_each_event_brings_the_word_and_its_signature(gatehouse_here: Gatehouse, hook: Waiting) -> None:
    house, canvas = gatehouse_here, gatehouse_here.canvas()
    made = canvas.post("/v1/subscriptions", json={"url": hook.url, "events": ["approval.asked"], "word": WORD})
    assert made.status_code == 201
    house.ask(canvas)
    relay = EventRelay(house.ward.rig.shift)
    relay.step()
    relay.pool.shutdown()
    (request,) = hook.sent
    assert request.headers["x-nightshift-webhook"] == WORD
    assert request.headers["webhook-signature"].startswith("v1,")


def test_the_word_is_kept_encrypted_and_never_shown(gatehouse_here: Gatehouse, hook: Waiting) -> None:
    canvas = gatehouse_here.canvas()
    made = canvas.post("/v1/subscriptions", json={"url": hook.url, "events": ["approval.asked"], "word": WORD})
    shown = made.text + canvas.get("/v1/subscriptions").text + canvas.get("/v1/audit").text
    assert WORD not in shown
    assert WORD not in str(gatehouse_here.hall.picture())


@pytest.mark.parametrize("word", ["short", "with a space in the middle", "with\nanother: header", "x" * 201])
def test_a_word_that_is_guessed_or_no_header_is_refused(gatehouse_here: Gatehouse, hook: Waiting, word: str) -> None:
    made = gatehouse_here.canvas().post("/v1/subscriptions", json={"url": hook.url, "events": ["approval.asked"], "word": word})
    assert problem(made) == (422, "invalid", "word")
