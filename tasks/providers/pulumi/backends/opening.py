"""From a backend's URL to what reads it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from tasks.errors import StackError
from tasks.providers.pulumi.backends.cloud import CloudBackend
from tasks.providers.pulumi.backends.files import FileBlobs, folder_of
from tasks.providers.pulumi.backends.layout import OwnBackend
from tasks.providers.pulumi.backends.postgres import open_postgres
from tasks.providers.pulumi.backends.reading import StateReader, refused
from tasks.providers.pulumi.backends.s3 import open_s3

ACCEPTED = "file://…, s3://…, postgres://…, https://…, gs://…, azblob://…"


def open_backend(url: str, credentials: Mapping[str, str]) -> StateReader:
    """`credentials` are values, as the CLI would find them in its environment. Raises `StackError`; opens no connection yet."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file":
            return OwnBackend(FileBlobs(folder_of(url)), shown(url))
        case "s3":
            return OwnBackend(open_s3(url, credentials), shown(url))
        case "postgres" | "postgresql":
            return OwnBackend(open_postgres(url, credentials), shown(url))
        case "https" | "http":
            token = credentials.get("PULUMI_ACCESS_TOKEN")
            if not token:
                raise refused(shown(url), "it needs PULUMI_ACCESS_TOKEN among the backend's credentials")
            return CloudBackend(url, token)
        case _:
            message = f"the backend {shown(url)} is of a kind that we cannot read; accepted: {ACCEPTED}"
            raise StackError(message, reason="backend_unreachable", stage="backend")


def shown(url: str) -> str:
    """A backend's URL for people: without password and without options."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{host}{port}" if parts.username or parts.password else parts.netloc, query="").geturl()
