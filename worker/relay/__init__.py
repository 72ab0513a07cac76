"""From the outbox to the world: doorbells, callbacks, events, messages, pings; and the chainer. Each is a loop of its own, and
one looks out for all of them.
"""

from worker.relay.bells import BellRelay
from worker.relay.callbacks import CallbackRelay
from worker.relay.chainer import Chainer
from worker.relay.events import EventRelay
from worker.relay.lookout import RESTED_SECONDS, Lookout
from worker.relay.messages import MessageRelay
from worker.relay.pings import PingRelay

__all__ = [
    "RESTED_SECONDS",
    "BellRelay",
    "CallbackRelay",
    "Chainer",
    "EventRelay",
    "Lookout",
    "MessageRelay",
    "PingRelay",
]
