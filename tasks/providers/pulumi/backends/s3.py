"""States in S3 or in a store that speaks its language: `s3://bucket/folder?region=…&endpoint=…`."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tasks.providers.pulumi.backends.reading import Checkpoint, refused, unreachable

_REFUSALS = {
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "401",
    "403",
}
_ABSENT = {"NoSuchKey", "404"}
_MAKING = threading.Lock()
"""Making a client is not safe in several threads at once; using one is."""


@dataclass(frozen=True, slots=True)
class S3Blobs:
    """`Blobs` in one bucket, below `folder` (empty, or ending in `/`)."""

    client: Any
    bucket: str
    folder: str

    def keys(self, prefix: str) -> Sequence[str]:
        with self._told():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.folder + prefix)
            names = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return sorted(name.removeprefix(self.folder) for name in names)

    def read(self, key: str) -> Checkpoint | None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - heavy; only who reads S3 pays

        with self._told():
            try:
                found = self.client.get_object(Bucket=self.bucket, Key=self.folder + key)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            return Checkpoint(content=found["Body"].read(), updated_at=found["LastModified"])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What botocore raises, in our words."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError  # noqa: PLC0415

        where = f"s3://{self.bucket}/{self.folder}"
        try:
            yield
        except ClientError as error:
            code = _code(error)
            raise (refused if code in _REFUSALS else unreachable)(where, code) from None
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise refused(where, str(error)) from None
        except BotoCoreError as error:
            raise unreachable(where, type(error).__name__) from None


def open_s3(url: str, credentials: Mapping[str, str]) -> S3Blobs:
    """`credentials` as the AWS tools name them; without a key, those that the machine itself has (never our own environment)."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    folder = parts.path.strip("/")
    return S3Blobs(_client(options, credentials), parts.netloc, f"{folder}/" if folder else "")


def _client(options: Mapping[str, str], credentials: Mapping[str, str]) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    import boto3  # noqa: PLC0415 - 0.3 s and 30 MB
    from botocore.config import Config  # noqa: PLC0415

    endpoint = options.get("endpoint") or credentials.get("AWS_ENDPOINT_URL_S3") or credentials.get("AWS_ENDPOINT_URL")
    path_style = any(options.get(name, "").lower() == "true" for name in ("s3ForcePathStyle", "use_path_style", "usePathStyle"))
    with _MAKING:
        session = boto3.session.Session(botocore_session=_session(credentials))
        return session.client(
            "s3",
            region_name=options.get("region") or credentials.get("AWS_REGION") or credentials.get("AWS_DEFAULT_REGION"),
            endpoint_url=_with_scheme(endpoint, options) if endpoint else None,
            aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
            config=Config(
                connect_timeout=5,
                read_timeout=20,
                retries={"total_max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"} if path_style else None,
            ),
        )


def _session(credentials: Mapping[str, str]) -> Any:  # noqa: ANN401 - botocore has no types
    """A session that knows nothing of our own environment and home."""
    from botocore.session import Session  # noqa: PLC0415

    unread = "/dev/null"
    session = Session()
    for name, variable, default in (
        ("profile", "AWS_PROFILE", None),
        ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE", unread),
        ("config_file", "AWS_CONFIG_FILE", unread),
    ):
        session.set_config_variable(name, credentials.get(variable, default))
    providers = session.get_component("credential_provider")
    for name in ("env", "process", "custom-process"):
        providers.providers = [provider for provider in providers.providers if name != provider.METHOD]
    return session


def _with_scheme(endpoint: str, options: Mapping[str, str]) -> str:
    """As Pulumi reads it: an endpoint without a scheme is HTTPS unless that is switched off."""
    plain = any(options.get(name, "").lower() == "true" for name in ("disableSSL", "disable_https"))
    return endpoint if "://" in endpoint else f"{'http' if plain else 'https'}://{endpoint}"


def _code(error: Any) -> str:  # noqa: ANN401 - botocore has no types
    return str(error.response.get("Error", {}).get("Code", ""))
