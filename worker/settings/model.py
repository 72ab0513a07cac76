"""The settings themselves: one field each, with its unit and its default."""

import contextlib
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from worker.redaction import mask_urls


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        message = "no such time zone; accepted: a name of the IANA list, e.g. Europe/Berlin or UTC"
        raise ValueError(message) from error
    return name


def _host_pattern(text: str) -> str:
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?|[0-9a-fA-F]*:[0-9a-fA-F:]+", text):
        message = "accepted: a host, host:port or *.example.com, without a scheme"
        raise ValueError(message)
    return text


def _dotted_path(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        message = "accepted: module:attribute, e.g. ourchecks.backups:JOB"
        raise ValueError(message)
    return text


def _secret_reference(text: str) -> str:
    if not re.fullmatch(r"(env|file):\S+", text):
        # What stands here instead of a reference may be the secret itself.
        message = "not a secret reference; accepted: env:NAME, file:PATH"
        raise ValueError(message)
    return text


def three_quarters_of_the_memory() -> int:
    """Of this machine, or of the container (control group, version 2) if that is less; in MiB."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        whole = min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return whole * 3 // 4 // 2**20


Zone = Annotated[str, AfterValidator(known_zone)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
DottedPath = Annotated[str, AfterValidator(_dotted_path)]
SecretReference = Annotated[str, AfterValidator(_secret_reference)]


class Settings(BaseModel):
    """What an instance runs with. Frozen; passed as arguments, never imported."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(Path("~/.nightshift"), description="Folder of all state of an embedded instance.")
    ledger_url: str = Field(
        default_factory=lambda given: f"sqlite:///{given['home']}/ledger.db",
        description="The ledger: sqlite:///PATH or postgresql://….",
        repr=False,
        json_schema_extra={"shown": "sqlite:///<home>/ledger.db"},
    )
    broker_url: str | None = Field(
        None, description="The doorbell: redis://…, rediss://… or amqp://…; unset: one of our own.", repr=False
    )
    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8321, ge=0, le=65535, description="Port the gateway listens on; 0 takes a free one.")
    base_url: str | None = Field(
        None, pattern="^https?://", description="How people reach the gateway, for links in messages; unset: http://host:port."
    )
    timezone: Zone = Field(
        "UTC",
        description="Time zone of schedules and digests that name none.",
        json_schema_extra={"shown": "the machine's, else UTC"},
    )
    log_format: Literal["json", "console"] = Field("json", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Mildest level that is logged.")
    lease_seconds: float = Field(30, gt=0, description="Seconds a worker may be silent before its run counts as lost.")
    heartbeat_seconds: float = Field(2, gt=0, description="Seconds between a running run's signs of life.")
    grace_seconds: float = Field(5, ge=0, description="Seconds between the two looks at an expired lease.")
    sweep_seconds: float = Field(2, gt=0, description="Seconds between two rounds of the sweeper.")
    relay_seconds: float = Field(0.5, gt=0, description="Seconds between two looks into the outbox.")
    schedule_seconds: float = Field(2, gt=0, description="Seconds between two looks for due schedules.")
    drain_seconds: float = Field(30, ge=0, description="Seconds a run may take to reach its next boundary after SIGTERM.")
    concurrency: int = Field(2, ge=1, le=512, description="Runs at the same time in one worker.")
    memory_mb: int = Field(
        default_factory=three_quarters_of_the_memory,
        ge=0,
        description="MiB that the runs of one worker may take together, as far as their entries say; 0: any.",
        json_schema_extra={"shown": "three quarters of the machine's or the container's"},
    )
    max_attempts: int = Field(3, ge=1, description="Times a run that was lost with its worker is started.")
    ring_cap: int = Field(10_000, ge=1, description="Queued runs that are rung for one by one; beyond, as workers are free.")
    jobs: tuple[DottedPath, ...] = Field((), description="Jobs of your own, as module:attribute.")
    providers: dict[str, DottedPath] = Field(default_factory=dict, description="Providers of your own: name = module:attribute.")
    callback_hosts: tuple[HostPattern, ...] = Field(
        ("localhost", "127.0.0.1", "::1"), description="Hosts a callback may go to: host, host:port or *.example.com."
    )
    callback_secret: SecretReference | None = Field(
        None, description="Secret that signs callbacks, by reference: env:NAME or file:PATH; unset: not signed.", repr=False
    )
    body_limit_kb: int = Field(1024, ge=1, description="Longest request body, in KiB.")
    key_file: Path | None = Field(None, description="One file of instance keys, the current one first; unset: <home>/keys.")
    audit_anchor_file: Path | None = Field(None, description="File that the head of the audit chain is appended to.")
    artifact_limit_mb: int = Field(16, ge=1, le=16, description="Largest artifact, in MiB.")
    people_session_hours: float = Field(12, gt=0, description="Hours until a person signs in to the console again.")
    n8n_url: str | None = Field(None, pattern="^https?://", description="The n8n that `nightshift n8n …` speaks to.")
    n8n_api_key: SecretReference | None = Field(
        None, description="Your own API key of that n8n, by reference: env:NAME or file:PATH.", repr=False
    )
    n8n_gateway_url: str | None = Field(
        None,
        pattern="^https?://",
        description="How that n8n reaches this gateway; workflow files say http://127.0.0.1:8321, and so it is if unset.",
    )
    n8n_nodes: Path | None = Field(
        None, description="Node types of that n8n, as `n8n export:nodes --output=FILE` writes them; for lint and diff."
    )
    pulumi: Path | None = Field(None, description="The Pulumi CLI; unset: found on PATH, or where its installer puts it.")
    pulumi_plugins: Path = Field(Path("~/.pulumi/plugins"), description="Pulumi's plugins; looks share them, and install none.")
    token_days: int = Field(90, ge=1, description="Days until a new API token expires, unless it says otherwise.")

    def shown(self) -> dict[str, str]:
        """Each setting as text that may be printed: passwords masked."""
        return {name: text_of(getattr(self, name)) for name in type(self).model_fields}


def text_of(value: object) -> str:
    """A setting's value as a person would type it, passwords masked."""
    match value:
        case None:
            return ""
        case tuple():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name}={path}" for name, path in value.items())
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return mask_urls(str(value))
