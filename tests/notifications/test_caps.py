from notifications.caps import Capped, within_cap
from notifications.message import Message
from tests.notifications.values import CONSOLE, NOW, message

WAITING = [message(id=f"m{n}", title=f"finding {n}", severity="critical" if n == 9 else "low") for n in range(14)]


def share(sent: int, cap: int, waiting: list[Message] = WAITING) -> Capped:
    return within_cap("pager", waiting, sent_in_last_hour=sent, cap=cap, console_url=CONSOLE, now=NOW)


def test_below_the_cap_everything_is_sent_worst_first() -> None:
    capped = share(0, 14)

    assert capped.send[0].id == "m9"
    assert len(capped.send) == 14
    assert (capped.summarised, capped.summary, capped.later) == ((), None, ())


def test_beyond_the_cap_the_rest_is_one_summary() -> None:
    capped = share(0, 2)

    assert [one.id for one in capped.send] == ["m9", "m0"]
    assert len(capped.summarised) == 12
    assert capped.summary is not None
    assert capped.summary.title == "and 12 more"
    assert [line.text for line in capped.summary.sections[0].lines][:2] == ["finding 1", "finding 2"]


def test_a_full_hour_sends_only_the_summary_and_only_once() -> None:
    first = share(2, 2)
    then = share(3, 2)

    assert first.send == ()
    assert first.summary is not None
    assert first.summary.title == "and 14 more"
    assert then.summary is None
    assert len(then.later) == 14
