"""The gateway: `/v1` for machines, the console for people, `/metrics`.

It knows no queue, no scheduler and no wiring: it is handed what it needs.
"""

from worker.api.app import create_app
from worker.api.gateway import Gateway

__all__ = ["Gateway", "create_app"]
