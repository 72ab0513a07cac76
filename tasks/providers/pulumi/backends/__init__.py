"""Reads states where they lie, without the CLI, without a lock, and without writing."""

from tasks.providers.pulumi.backends.opening import open_backend
from tasks.providers.pulumi.backends.reading import Checkpoint, StateReader

__all__ = ["Checkpoint", "StateReader", "open_backend"]
