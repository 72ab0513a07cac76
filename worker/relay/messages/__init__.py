"""Messages: what is due to be told becomes deliveries, each once. Deciding, by kind; then sending, by channel."""

from worker.relay.messages.relay import MessageRelay

__all__ = ["MessageRelay"]
