"""A state as its bytes lie in the backend: read as JSON, never decrypted."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tasks.errors import StackError
from tasks.providers.pulumi.backends.layout import unpacked
from tasks.providers.pulumi.backends.reading import Checkpoint
from tasks.providers.pulumi.paths import PropertyPath
from tasks.stacks import StateResource

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key that marks a special value in Pulumi's JSON."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_VERSION_IN_NAME = re.compile(r"default_(\d+_\d+_\d+.*)")
PROVIDER = "pulumi:providers:"
ROOT = "pulumi:pulumi:Stack"


@dataclass
class Deployment:
    """The parsed state: `sha256` is of the bytes as they lie there."""

    sha256: str
    resources: Sequence[Mapping[str, Any]]
    pending: Sequence[Mapping[str, Any]]
    _secrets: dict[str, frozenset[PropertyPath]] = field(default_factory=dict)

    @cached_property
    def by_urn(self) -> Mapping[str, Mapping[str, Any]]:
        """Without what waits for its deletion after a replacement, which has the URN of its successor."""
        return {str(one["urn"]): one for one in self.resources if not one.get("delete")}

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Of each provider resource, by URN."""
        return {str(one["urn"]): _version(one) for one in self.resources if _type(one).startswith(PROVIDER)}

    def custom(self) -> Iterator[Mapping[str, Any]]:
        """What a refresh reads: custom resources of the stack's own that are not providers and do not wait for deletion."""
        for one in self.resources:
            if one.get("custom") and not one.get("delete") and not _type(one).startswith(PROVIDER):
                yield one

    def secret_paths(self, urn: str) -> frozenset[PropertyPath]:
        """Where the state keeps a secret in this resource's inputs or outputs."""
        if urn not in self._secrets:
            one = self.by_urn.get(urn, {})
            found = {path for side in ("inputs", "outputs") for path in _secrets(one.get(side) or {}, ())}
            named = {(str(name),) for name in one.get("additionalSecretOutputs") or ()}
            self._secrets[urn] = frozenset(found | named)
        return self._secrets[urn]

    def provider_of(self, reference: str) -> tuple[str, str]:
        """A provider reference (`urn::id`) as (`fakecloud 1.0.0`, name of the provider resource)."""
        urn = reference.rpartition("::")[0]
        name = urn.rpartition("::")[2]
        package = urn.rpartition(PROVIDER)[2].partition("::")[0]
        guessed = _VERSION_IN_NAME.fullmatch(name)
        version = self.versions.get(urn) or (guessed[1].replace("_", ".") if guessed else "")
        return f"{package} {version}".strip(), name


def parse(checkpoint: Checkpoint, where: str) -> Deployment:
    """Raises `StackError`: `state_corrupt`, `failed` for a state that we cannot unpack."""
    sha256 = sha256_of(checkpoint)
    if checkpoint.content.startswith(_ZSTANDARD):
        message = f"{where}: the state is packed with zstandard, which is not read yet; set PULUMI_DIY_BACKEND_COMPRESSION=gzip"
        raise StackError(message, reason="failed", stage="state")
    try:
        said = json.loads(unpacked(checkpoint.content))
        latest = _deployment(said)
        resources, pending = (_list(latest.get(name)) for name in ("resources", "pending_operations"))
        deployment = Deployment(sha256, resources, pending)
        _ = deployment.by_urn, [_type(one) for one in resources], [one["resource"]["urn"] for one in pending]
    except (ValueError, EOFError, OSError, KeyError, TypeError, AttributeError) as error:
        size = len(checkpoint.content)
        message = (
            f"{where}: the state is corrupt ({type(error).__name__} in its {size} bytes); restore it from its .bak or history"
        )
        raise StackError(message, reason="state_corrupt", stage="state") from None
    return deployment


def sha256_of(checkpoint: Checkpoint) -> str:
    """Of the bytes as they lie there: any write by anybody changes it."""
    return hashlib.sha256(checkpoint.content).hexdigest()


def _deployment(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a checkpoint (`checkpoint.latest`), or of an export (`deployment`)."""
    found = said["deployment"] if "deployment" in said else said["checkpoint"].get("latest")
    if found is None:  # a stack that was never updated
        return {}
    if not isinstance(found, dict):
        raise TypeError("no deployment")
    return found


def _list(found: object) -> list[Any]:
    """A stack without resources has none; anything but a list is no stack without resources."""
    if found is None or isinstance(found, list):
        return found or []
    raise TypeError("no list")


def resource_of(one: Mapping[str, Any], deployment: Deployment) -> StateResource:
    """One resource without its values."""
    provider, provider_name = deployment.provider_of(str(one["provider"])) if one.get("provider") else ("", "")
    return StateResource(
        urn=str(one["urn"]),
        type=_type(one),
        id=str(one.get("id", "")),
        provider=provider,
        provider_name=provider_name,
        custom=bool(one.get("custom")),
        external=bool(one.get("external")),
        protected=bool(one.get("protect")),
        ignored=tuple(map(str, one.get("ignoreChanges") or ())),
        inputs=tuple(name for name in one.get("inputs") or () if not name.startswith("__")),
    )


def is_secret(value: object) -> bool:
    """A secret as Pulumi's JSON wraps it."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) == SECRET


def _secrets(value: object, path: PropertyPath) -> Iterator[PropertyPath]:
    if is_secret(value):
        yield path
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*path, index))


def _type(one: Mapping[str, Any]) -> str:
    return str(one["type"])


def _version(one: Mapping[str, Any]) -> str:
    """Newer CLIs keep it apart from the provider's own configuration."""
    inputs = one.get("inputs") or {}
    internal = inputs.get("__internal") or {}
    return str((internal.get("version") if isinstance(internal, Mapping) else None) or inputs.get("version") or "")
