"""Whom we tell, and how it looks: messages, channels and routes. Knows no ledger, no Celery, no jobs."""

CHANNELS: dict[str, str] = {
    "email": "notifications.email:EmailChannel",
    "slack": "notifications.slack:SlackChannel",
    "linear": "notifications.linear:LinearChannel",
    "webhook": "notifications.webhook:WebhookChannel",
    "console": "notifications.console:ConsoleChannel",
}
"""Every kind of channel that ships. The value is `module:attribute`, loaded when a channel of that kind is configured."""
