"""`/healthz`: this process lives. `/readyz`: it can take work; if not, which part is missing."""

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from worker.api.gateway import Gateway, Here
from worker.api.problems import RETRY_AFTER_SECONDS, ProblemError
from worker.ledger import LedgerUnavailable
from worker.ledger.schema import require_current

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Asks nobody: a process that answers this need not be restarted."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(here: Here) -> dict[str, str]:
    """503 with the parts that are not ready."""
    parts = {"ledger": ledger_trouble(here), "broker": here.broker_trouble()}
    broken = {name: trouble for name, trouble in parts.items() if trouble is not None}
    if broken:
        detail = "; ".join(f"{name}: {trouble}" for name, trouble in broken.items())
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise ProblemError(503, "not_ready", detail, headers=headers, parts={name: broken.get(name, "ok") for name in parts})
    return dict.fromkeys(parts, "ok")


def ledger_trouble(here: Gateway) -> str | None:
    """Why the ledger cannot be worked with; None: it can."""
    try:
        here.shift.ledger.ping()
        require_current(here.shift.ledger)
    except LedgerUnavailable as error:
        return str(error)
    except SQLAlchemyError as error:
        return f"the ledger cannot be read: {type(error).__name__}"
    return None
