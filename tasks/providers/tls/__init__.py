"""TLS servers: one look at each address, many at a time. Reads only."""

from tasks.providers.tls.provider import OpenSslTls

__all__ = ["OpenSslTls"]
