"""The seam of channels: one configured destination that can deliver a message."""

from dataclasses import dataclass
from typing import Protocol

from notifications.message import Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """Proof that a channel accepted a message. `reference` is the other side's id for it, if it gave one."""

    reference: str | None = None
    detail: str = ""


class ChannelError(Exception):
    """A delivery failed. `permanent`: trying the same again is pointless (wrong address, refused credentials)."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_seconds = retry_after_seconds


class Channel(Protocol):
    """One configured destination.

    Constructed by keyword from its table in routes.toml: the typed keyword arguments of the class are the keys that the
    table accepts. An argument of type `SecretStr` is given there by reference (`env:NAME`) and arrives already read.
    Constructing connects to nothing, and raises `ValueError` for options that do not fit together.
    """

    def deliver(self, message: Message) -> Delivery:
        """Hand over `message` or raise `ChannelError`. May be called again with the same `message.id`: a channel that
        can de-duplicate on the other side does so. Blocks at most 30 s.
        """
        ...
