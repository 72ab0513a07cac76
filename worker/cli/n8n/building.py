"""`n8n build`."""

import os
import secrets
import stat
from datetime import timedelta
from pathlib import Path

from tasks.providers.n8n.building import Built, first_boot
from tasks.providers.n8n.folder import load_folder
from worker.cli.n8n.opening import gateway
from worker.cli.printing import say, show_json

_SECRET_BYTES = 32
_LAST = "built"
"""Written when all else is there."""


def build(path: Path, out: Path, *, token: bool, once: bool, as_json: bool) -> None:
    """Writes the files; with `token`, a fresh one for the gateway, so that keys of an earlier database mean nothing."""
    if once and (out / _LAST).exists():
        show_json({"built_before": True}) if as_json else say(f"{out} holds a build already: nothing was changed")
        return
    built = first_boot(load_folder(path), gateway())
    for name, text in built.files.items():
        place = out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    (out / "first-boot.sh").chmod(0o755)
    shared = _shared(out)
    (out / "secrets").chmod(0o2750 if shared else 0o700)
    for name in built.webhook_secrets:
        if not (out / "secrets" / name).exists():
            _write_secret(out / "secrets" / name, secrets.token_urlsafe(_SECRET_BYTES), shared=shared)
    if token and built.gateway_secrets:
        text = _fresh_token()
        for name in built.gateway_secrets:
            _write_secret(out / "secrets" / name, f"Bearer {text}", shared=shared)
    (out / _LAST).touch()
    _show(built, out, as_json=as_json)


def _fresh_token() -> str:
    """Not in the place of an older one: execution ids start again with a new database, and so must idempotency keys."""
    from worker.cli.opening import actor, loaded, shift
    from worker.flow.api_tokens import create_token
    from worker.records import ActorKind
    from worker.tokens import grants_of_role

    lifetime = timedelta(days=loaded().settings.token_days)
    return create_token(shift(), "n8n", grants_of_role("n8n"), actor(), lifetime=lifetime, kind=ActorKind.N8N).text


def _shared(out: Path) -> bool:
    """A folder with the set-group-ID bit belongs to a group on purpose: n8n's, when it runs as somebody else."""
    return bool(out.stat().st_mode & stat.S_ISGID)


def _write_secret(place: Path, text: str, *, shared: bool) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640 if shared else 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _show(built: Built, out: Path, *, as_json: bool) -> None:
    missing = [name for name in (*built.gateway_secrets, *built.webhook_secrets) if not (out / "secrets" / name).exists()]
    if as_json:
        show_json({"workflows": built.workflows, "secrets_missing": missing, "to_fill_in_n8n": list(built.other_secrets)})
        return
    say(f"{built.workflows} workflows in {out}; run {out / 'first-boot.sh'} before n8n's first start")
    for name in missing:
        say(f"  first write the header's value (Bearer …) into {out / 'secrets' / name}, or build with --token")
    for name in built.other_secrets:
        say(f"  the credential {name!r} is imported empty: fill it in in n8n")
