"""What an answer to a callback means: of n8n's Wait node, as tried on 2.15, and of whatever stands before it."""

from dataclasses import dataclass
from typing import Literal

Answer = Literal["delivered", "over", "astray", "again", "again_for_minutes", "again_for_a_minute", "undelivered"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` is for the person who looks for a result."""

    answer: Answer
    why: str = ""
    doubtful: bool = False
    """The result may have been taken all the same: then `over` or `astray`, at the next attempt, says that it was."""


_FINISHED = Verdict("over", "the execution had finished already: the Wait's limit had passed, or somebody else resumed it")
_FAILED = Verdict("undelivered", "the execution failed, crashed or was stopped before it could take the result")
_ASTRAY = Verdict(
    "astray", "the execution waits at another path or method: compare the Wait's webhook suffix with the callback's URL"
)
_NOT_YET = Verdict("again", "the execution has not come to its Wait yet, or works on something else")
_BROKEN = Verdict(
    "again_for_a_minute", "n8n cannot go on with the execution, which most likely crashed when n8n was killed", doubtful=True
)
_NO_SUCH = Verdict("again_for_minutes", "n8n does not know the execution: deleted, pruned, or of another database")
_MIGRATING = "n8n is starting up"
_SAID = (
    (409, "has finished already", _FINISHED),
    (409, "finished with error", _FAILED),
    (409, "is running already", _NOT_YET),
    (404, "waiting webhook with a matching path", _ASTRAY),
    # Also said for a moment when two callbacks come to one Wait at once.
    (500, "there was a problem executing the workflow", _BROKEN),
    # Of an execution that crashed before anything of it was stored.
    (500, "cannot read properties of undefined", _BROKEN),
)
_REFUSED = Verdict("undelivered", "the Wait refuses the callback: the execution is of another database, or asks for credentials")
_BUSY = Verdict("again", "it is busy")
_STATUS = {401: _REFUSED, 403: _REFUSED, 410: _REFUSED, 408: _BUSY, 409: _BUSY, 425: _BUSY, 429: _BUSY}


def judge(status: int, content_type: str, body: str) -> Verdict:
    """n8n refuses early and doubled callbacks in words; while it starts it answers 404 with a page, and while it migrates its
    database (at each start, for long after an upgrade) 200 to everything.
    """
    if 200 <= status < 300 and _MIGRATING in body.lower():  # noqa: PLR2004
        return Verdict("again", "n8n is starting, and migrates its database")
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Verdict("delivered")
    for code, words, verdict in _SAID:
        if status == code and "json" in content_type and words in body.lower():
            return verdict
    if status == 404:  # noqa: PLR2004
        return _NO_SUCH if "json" in content_type else Verdict("again", "n8n is starting")
    if status >= 500:  # noqa: PLR2004
        return Verdict("again", "it failed or is starting", doubtful=True)
    return _STATUS.get(status, Verdict("undelivered", "no Wait answers like this: compare the callback's URL"))
