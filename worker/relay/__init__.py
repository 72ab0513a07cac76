"""From the outbox to the world: doorbells, callbacks, events, messages, pings; and the chainer. Each is a loop of its own."""

from worker.relay.bells import BellRelay
from worker.relay.callbacks import CallbackRelay
from worker.relay.chainer import Chainer
from worker.relay.events import EventRelay
from worker.relay.messages import MessageRelay
from worker.relay.pings import PingRelay

__all__ = ["BellRelay", "CallbackRelay", "Chainer", "EventRelay", "MessageRelay", "PingRelay"]
