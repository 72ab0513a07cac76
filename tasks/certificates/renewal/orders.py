"""One command as a plan holds it: what runs, where, with which names in its environment; values of secrets never."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from tasks.certificates.entry import CertificateEntry
from tasks.context import Command
from tasks.model import Json
from tasks.programs import REFERENCE, all_environment

RENEW, RELOAD = "renew", "reload"


def order(entry: CertificateEntry, action: str) -> dict[str, Json]:
    """The arguments of the step `action`. Values given in clear are pinned by one hash over all of them."""
    clear = {name: value for name, value in entry.renew_env.items() if not REFERENCE.match(value)}
    return {
        "entry": entry.name,
        "argv": list(_argv(entry, action)),
        "cwd": entry.renew_cwd or "/",
        "environment": {name: value for name, value in sorted(entry.renew_env.items()) if name not in clear},
        "environment_in_clear": {"names": sorted(clear), "sha256": _hash(clear)},
        "environment_passed_on": sorted(entry.renew_pass_env),
        "timeout_seconds": _timeout_seconds(entry, action),
        "memory_mb": entry.renew_memory_mb,
        "output_limit_kb": entry.renew_output_limit_kb,
        "certificate_file": entry.certificate_file,
    }


def command(entry: CertificateEntry, action: str, secrets: Mapping[str, str]) -> Command:
    """What `order` describes, ready to run. It ends by itself even if its worker dies: half a renewal is worse."""
    return Command(
        argv=_argv(entry, action),
        cwd=Path(entry.renew_cwd or "/"),
        environment=all_environment(entry.renew_pass_env, entry.renew_env, secrets),
        stdin=b"",
        timeout=timedelta(seconds=_timeout_seconds(entry, action)),
        output_limit_bytes=entry.renew_output_limit_kb * 1024,
        memory_limit_bytes=entry.renew_memory_mb and entry.renew_memory_mb * 1024 * 1024,
        outlives=True,
    )


def _argv(entry: CertificateEntry, action: str) -> tuple[str, ...]:
    return entry.renew_command if action == RENEW else entry.reload_command


def _timeout_seconds(entry: CertificateEntry, action: str) -> float:
    return entry.renew_timeout_seconds if action == RENEW else entry.reload_timeout_seconds


def _hash(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
