"""The configured channels, each made when it is first spoken to, and made anew with other routes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from notifications.channel import Amends, Channel, ChannelError, Personal
from notifications.config import RoutesConfig, build_channel
from notifications.message import Recipient


@dataclass(slots=True)
class Channels:
    """By name. Threads may share it: at worst a channel is made twice."""

    routing: RoutesConfig
    read_secret: Callable[[str], str]
    _made: dict[str, Channel] = field(default_factory=dict)

    def get(self, name: str) -> Channel:
        """Raises `ChannelError` when it cannot be set up: a secret that cannot be read, say."""
        if name not in self._made:
            try:
                self._made[name] = build_channel(self.routing.channels[name], self.read_secret)
            except Exception as error:
                raise ChannelError(f"channel {name!r} cannot be set up: {error}") from error
        return self._made[name]

    def reaches(self, name: str, person: Recipient) -> bool:
        """Whether the channel can address this person. One that cannot be set up may: its delivery says what is wrong."""
        try:
            channel = self.get(name)
        except ChannelError:
            return True
        return isinstance(channel, Personal) and channel.reaches(person)

    def amends(self, name: str) -> bool:
        """Whether the channel can change what it has delivered."""
        try:
            return isinstance(self.get(name), Amends)
        except ChannelError:
            return False
