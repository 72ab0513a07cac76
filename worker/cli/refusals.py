"""What a command says when it cannot do what it was asked, and with which exit code.

0 done; 1 refused or failed; 2 wrongly called, or what it needs is not there; 3 `--fail-on` was met.
"""

REFUSED = 1
UNAVAILABLE = 2
FOUND = 3

# By name: importing what may raise them costs a second that most commands need not spend.
_CODES = {
    "worker.cli.refusals.Refusal": REFUSED,
    "worker.cli.refusals.Unavailable": UNAVAILABLE,
    "worker.settings.load.SettingsError": UNAVAILABLE,
    "worker.ledger.engine.LedgerUnavailable": UNAVAILABLE,
    "worker.doorbell.home.HomeTaken": UNAVAILABLE,
    "worker.doorbell.redis.DoorbellError": UNAVAILABLE,
    "worker.tokens.instance_keys.KeysError": UNAVAILABLE,
    "tasks.errors.LoadError": UNAVAILABLE,
    "worker.secrets.SecretError": UNAVAILABLE,
    "tasks.providers.n8n.errors.Refused": REFUSED,
    "tasks.providers.n8n.errors.PushFailed": REFUSED,
    "tasks.providers.n8n.errors.WorkflowError": UNAVAILABLE,
    "tasks.providers.n8n.errors.N8nError": UNAVAILABLE,
    "worker.flow.errors.FlowError": REFUSED,
    "worker.configuration.documents.ConfigurationError": REFUSED,
    "worker.configuration.force.UnknownRevisionError": REFUSED,
}
_LEDGER_WENT_AWAY = "sqlalchemy.exc.DBAPIError"


class Refusal(Exception):  # noqa: N818 - states a condition
    """Understood, and not done."""


class Unavailable(Exception):  # noqa: N818 - states a condition
    """What the command needs is not there; the message says what to do."""


def told(error: Exception) -> tuple[str, int] | None:
    """What to print and the exit code; None for what nobody foresaw."""
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    code = next((_CODES[kind] for kind in kinds if kind in _CODES), None)
    if code is not None:
        return "\n  ".join(str(error.args[0] if error.args else error).splitlines()), code
    if _LEDGER_WENT_AWAY in kinds:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return f"the ledger does not answer: {reason}; see `nightshift doctor`", UNAVAILABLE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", UNAVAILABLE
    return None
