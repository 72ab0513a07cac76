"""Prints messages: for a first look, a log collector, or the terminal that `nightshift up` runs in."""

import sys
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from notifications import render
from notifications.channel import ChannelError, Delivery
from notifications.message import Message

_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "ok": "green", "cannot_tell": "magenta"}


@dataclass(frozen=True, kw_only=True)
class ConsoleChannel:
    """Standard output or standard error of the process that delivers."""

    stream: Literal["stdout", "stderr"] = "stdout"

    def deliver(self, message: Message) -> Delivery:
        try:
            Console(file=getattr(sys, self.stream)).print(panel(message))
        except (OSError, ValueError) as error:  # ValueError: closed, or it cannot encode
            text = f"{self.stream} takes no message: {error}"
            raise ChannelError(text, permanent=True) from error
        return Delivery(detail=f"printed to {self.stream}")


def panel(message: Message) -> Panel:
    """`message` in a frame; its words are never read as Rich markup."""
    title = Text(render.one_line(message.title, 500))
    words = render.text(message).split("\n", 2)[2]  # the frame carries the title and its rule
    return Panel(Text(words.strip()), title=title, title_align="left", border_style=_STYLES.get(message.severity, "blue"))
