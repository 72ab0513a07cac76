"""What commands work with: the settings, and the shift over the ledger that they name."""

import getpass
import os
from typing import TYPE_CHECKING

from worker.cli.refusals import Unavailable
from worker.settings import Loaded, load_settings

if TYPE_CHECKING:
    from worker.flow import Shift
    from worker.ledger import Ledger
    from worker.records import Actor
    from worker.wiring import House


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
    """The same ledger, unless it does not answer or has another schema than this version."""
    from worker.ledger import LedgerUnavailable
    from worker.ledger.schema import require_current

    database = ledger.url.database or ""
    if ledger.dialect == "sqlite" and not os.path.exists(database):  # noqa: PTH110 - a URL's text, perhaps empty
        message = f"there is no ledger {database} yet: `nightshift up` or `nightshift migrate` makes it"
        raise Unavailable(message)
    try:
        ledger.ping()
    except LedgerUnavailable as error:
        message = f"{error}\nstart the database, or name another one: NIGHTSHIFT_LEDGER_URL=…"
        raise Unavailable(message) from error
    require_current(ledger)
    return ledger


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
