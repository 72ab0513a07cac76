"""The provider: what `pulumi-resource-fakecloud` runs. `FAKECLOUD` names the folder, `FAKECLOUD_VERSION` which release we are.

Every call reads the knobs anew, so a test may turn them while the engine works.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

from tests.lab.cloud import ELSEWHERE, HOME_ACCOUNT, Cloud, Json, Knobs, Properties
from tests.lab.resources import PROPERTIES, Difference, differences, known, schema
from tests.lab.values import UNKNOWN, plain, plain_map, wrapped

_KINDS = {
    ("add", False): sdk.PropertyDiffKind.ADD,
    ("add", True): sdk.PropertyDiffKind.ADD_REPLACE,
    ("delete", False): sdk.PropertyDiffKind.DELETE,
    ("delete", True): sdk.PropertyDiffKind.DELETE_REPLACE,
    ("update", False): sdk.PropertyDiffKind.UPDATE,
    ("update", True): sdk.PropertyDiffKind.UPDATE_REPLACE,
}


class FakeCloud(sdk.Provider):
    """One provider process. `account` is where its credentials lead, if the cloud lets them."""

    def __init__(self, cloud: Cloud, version: str) -> None:
        super().__init__()
        self._cloud = cloud
        self._version = version
        self._account = HOME_ACCOUNT
        self._reads = 0

    async def get_schema(self, _request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        return sdk.GetSchemaResponse(schema(self._version))

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        return sdk.CheckResponse(inputs=request.new_inputs)

    async def diff_config(self, _request: sdk.DiffRequest) -> sdk.DiffResponse:
        return sdk.DiffResponse(changes=False)

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        account = request.args.get("account")
        self._account = str(plain(account)) if account else HOME_ACCOUNT
        if self._knobs().rejects == "configure":
            raise PermissionError("401 InvalidClientTokenId: the security token included in the request is invalid")
        secrets = self._knobs().accept_secrets
        return sdk.ConfigureResponse(accept_secrets=secrets, supports_preview=True, accept_resources=True, accept_outputs=False)

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        defaults = {one.name: one.default for one in known(self._version) if one.default is not None}
        filled = {name: wrapped(value) for name, value in defaults.items() if name not in request.new_inputs}
        return sdk.CheckResponse(inputs={**request.new_inputs, **filled})

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        olds, news = plain_map(request.old_state), plain_map(request.new_inputs)
        found = differences(olds, news, self._version, request.ignore_changes or [])
        return sdk.DiffResponse(
            changes=bool(found),
            diffs=sorted({_top(one) for one in found}),
            replaces=sorted({_top(one) for one in found if one.replaces}),
            detailed_diff={one.path: sdk.PropertyDiff(_KINDS[one.kind, one.replaces], input_diff=True) for one in found},
        )

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        self._reads += 1
        object_id = request.resource_id
        knobs = await self._admitted(object_id)
        await asyncio.sleep(knobs.read_seconds)
        if object_id in knobs.dies_reading:
            os._exit(1)
        account = ELSEWHERE if knobs.wrong_account else self._account
        seen = self._cloud.read(account, object_id)
        if object_id in knobs.failing:
            raise PermissionError(f"403 AccessDenied: not allowed to describe {object_id}")
        if seen is None:
            return sdk.ReadResponse(resource_id="", properties={}, inputs={})
        if object_id in knobs.unsettled:
            seen = {**seen, knobs.unsettled[object_id]: f"unsettled-{random.getrandbits(64):x}"}
        inputs = self._inputs(seen, request.inputs, knobs)
        outputs = {**inputs, **_outputs(object_id, knobs)}
        return sdk.ReadResponse(resource_id=object_id, properties=outputs, inputs=inputs)

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        if request.preview:
            unknown = {"endpoint": wrapped(UNKNOWN)}
            return sdk.CreateResponse(resource_id="", properties={**request.properties, **unknown})
        knobs = await self._may_write(request.name)
        stack, project = request.urn.removeprefix("urn:pulumi:").split("::")[:2]
        object_id = self._cloud.create(self._account, f"{project}.{stack}.{request.name}", _known(request.properties))
        await self._answered(request.name, knobs)
        return sdk.CreateResponse(resource_id=object_id, properties={**request.properties, **_outputs(object_id, knobs)})

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        object_id = request.resource_id
        if request.preview:
            return sdk.UpdateResponse(properties={**request.olds, **request.news})
        knobs = await self._may_write(object_id)
        news = _known(request.news)
        if object_id in knobs.partial_writes:
            begun = {name: news[name] for name in knobs.partial_writes[object_id] if name in news}
            self._cloud.update(self._account, object_id, {**(self._cloud.get(object_id, self._account) or {}), **begun})
            raise RuntimeError(f"500 InternalError: {object_id} is updated in part: {', '.join(begun)}")
        self._cloud.update(self._account, object_id, news)
        await self._answered(object_id, knobs)
        return sdk.UpdateResponse(properties={**request.news, **_outputs(object_id, knobs)})

    async def delete(self, request: sdk.DeleteRequest) -> None:
        knobs = await self._may_write(request.resource_id)
        self._cloud.delete(self._account, request.resource_id)
        await self._answered(request.resource_id, knobs)

    def _knobs(self) -> Knobs:
        return self._cloud.knobs(self._account)

    async def _admitted(self, object_id: str) -> Knobs:
        """The knobs, once the account's throttle and the credentials let a call through."""
        knobs = self._knobs()
        wait = self._cloud.wait_for_throttle(self._account, knobs)
        if wait < 0:
            raise RuntimeError(f"429 ThrottlingException: rate exceeded at {object_id}")
        await asyncio.sleep(wait)
        if knobs.rejects == "read" or 0 <= knobs.expires_after_reads < self._reads:
            raise PermissionError("401 ExpiredToken: the security token included in the request is expired")
        return knobs

    async def _may_write(self, target: str) -> Knobs:
        knobs = await self._admitted(target)
        await asyncio.sleep(knobs.write_seconds)
        if target in knobs.failing_writes:
            raise RuntimeError(f"500 InternalError: {target} could not be written")
        if knobs.crashes.get(target) == "before":
            os._exit(1)
        return knobs

    async def _answered(self, target: str, knobs: Knobs) -> None:
        if knobs.crashes.get(target) == "after":
            os._exit(1)
        await asyncio.sleep(knobs.answer_seconds)

    def _inputs(self, seen: Properties, asked: dict[str, PropertyValue], knobs: Knobs) -> dict[str, PropertyValue]:
        """What the cloud gives back, of what this release knows; what it never gives back, as the state had it."""
        kept = {name: asked[name] for name, one in PROPERTIES.items() if one.write_only and name in asked}
        names = {one.name for one in known(self._version) if not one.write_only}
        secrets = {name for name, one in PROPERTIES.items() if one.secret and knobs.accept_secrets}
        return {**kept, **{name: wrapped(value, secret=name in secrets) for name, value in seen.items() if name in names}}


def _top(one: Difference) -> str:
    return one.path.split(".")[0].split("[")[0]


def _known(properties: dict[str, PropertyValue]) -> dict[str, Json]:
    """What the cloud keeps of inputs."""
    values = plain_map(properties)
    assert UNKNOWN not in values.values()
    return {name: value for name, value in values.items() if name in PROPERTIES}


def _outputs(object_id: str, knobs: Knobs) -> dict[str, PropertyValue]:
    noise = f"{time.time_ns():x}" if knobs.noise else "quiet"
    return {"endpoint": wrapped(f"https://{object_id}.invalid"), "lastSeen": wrapped(noise), "etag": wrapped(noise)}


if __name__ == "__main__":
    release = os.environ["FAKECLOUD_VERSION"]
    main(sys.argv[1:], release, FakeCloud(Cloud(Path(os.environ["FAKECLOUD"])), release))
