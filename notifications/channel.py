"""The seam of channels: one configured destination that can deliver a message."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from notifications.message import Message, Recipient


@dataclass(frozen=True, slots=True)
class Delivery:
    """Proof that a channel accepted a message. `reference` is the other side's id for it, if it gave one: enough to answer
    in its thread (`Message.reply_to`) or to amend it.
    """

    reference: str | None = None
    detail: str = ""


class ChannelError(Exception):
    """A delivery failed. `permanent`: it is given up for good, as with a wrong address; what somebody may put right is not."""

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


@runtime_checkable
class Personal(Protocol):
    """A channel that can also address one person: its `deliver` hands a message with `to` to that person and nobody else."""

    def reaches(self, person: Recipient) -> bool:
        """Whether it knows an address for them. Connects to nothing."""
        ...


@runtime_checkable
class Amends(Protocol):
    """A channel that can change what it has delivered."""

    def amend(self, reference: str, message: Message) -> Delivery:
        """Show `message` in the place of the delivered one, or raise `ChannelError`: permanent, if that one is gone.
        Amending to the same twice changes nothing.
        """
        ...
