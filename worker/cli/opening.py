"""What commands work with: the settings, and the shift over the ledger that they name."""

import getpass
import os
import time
from typing import TYPE_CHECKING

from worker.cli.refusals import Unavailable
from worker.settings import Loaded, load_settings

if TYPE_CHECKING:
    from worker.flow import Shift
    from worker.ledger import Ledger
    from worker.records import Actor
    from worker.wiring import House

_STARTING_SECONDS = 15.0
_LOOK_SECONDS = 0.1


def loaded() -> Loaded:
    """The settings of this process and where each came from."""
    return load_settings(os.environ)


def actor() -> "Actor":
    """Whoever types this, as the audit shows it."""
    from worker.records import Actor, ActorKind

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor(ActorKind.CLI, name)


def ledger() -> "Ledger":
    """The ledger, answering and migrated. Raises `LedgerUnavailable` with how to start it."""
    from worker.ledger import Ledger

    return checked(Ledger(loaded().settings.ledger_url))


def checked(ledger: "Ledger") -> "Ledger":
    """The same ledger, unless it does not answer or has another schema than this version.

    While `nightshift up` starts on this home, its ledger and its configuration are waited for.
    """
    from worker.cli.instance import is_up

    home = loaded().settings.home
    until = time.monotonic() + _STARTING_SECONDS
    while is_up(home) and not _made(ledger) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    _require(ledger)
    return ledger


def _made(ledger: "Ledger") -> bool:
    """Schema and configuration are there. For a database that is away nobody waits."""
    from sqlalchemy.exc import DBAPIError

    from worker.ledger import LedgerUnavailable, revisions
    from worker.ledger.schema import newest, version

    if _no_file(ledger):
        return False
    try:
        ledger.ping()
        with ledger.read() as connection:
            return version(connection) == newest() and revisions.state(connection).revision is not None
    except LedgerUnavailable:
        return True
    except DBAPIError:
        return False


def _no_file(ledger: "Ledger") -> bool:
    return ledger.dialect == "sqlite" and not os.path.exists(ledger.url.database or "")  # noqa: PTH110 - a URL's text, perhaps empty


def _require(ledger: "Ledger") -> None:
    from worker.ledger import LedgerUnavailable
    from worker.ledger.schema import require_current

    if _no_file(ledger):
        message = f"there is no ledger {ledger.url.database or ''} yet: `nightshift up` or `nightshift migrate` makes it"
        raise Unavailable(message)
    try:
        ledger.ping()
    except LedgerUnavailable as error:
        message = f"{error}\nstart the database, or name another one: NIGHTSHIFT_LEDGER_URL=…"
        raise Unavailable(message) from error
    require_current(ledger)


def house() -> "House":
    """All of an instance's things, over a ledger that answers."""
    from worker import logs
    from worker.wiring import House

    logs.configure("console", "error")
    opened = House(loaded().settings)
    checked(opened.ledger)
    return opened


def shift() -> "Shift":
    """The shift over a ledger that answers."""
    return house().shift
