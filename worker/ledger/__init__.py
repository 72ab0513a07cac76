"""The ledger: tables, and the conditional statements on them. Functions take a connection and never commit."""

from worker.ledger.engine import Ledger, LedgerUnavailable

__all__ = ["Ledger", "LedgerUnavailable"]
