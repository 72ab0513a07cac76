"""The provider: what `pulumi-resource-fakeaws` runs. It finds AWS as every client does, by its environment."""

import json
import sys
from typing import Any

import boto3
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

from tests.lab.aws import PACKAGE, TYPES, VERSION, AwsType
from tests.lab.resources import walk
from tests.lab.values import UNKNOWN, plain_map, wrapped
from worker.demo.plain_provider import PlainProvider

_KINDS = {"add": sdk.PropertyDiffKind.ADD, "delete": sdk.PropertyDiffKind.DELETE, "update": sdk.PropertyDiffKind.UPDATE}


class FakeAws(PlainProvider):
    """Nothing is replaced, nothing is secret: the shapes are what matters."""

    async def get_schema(self, _request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        resources = {name: {"inputProperties": one.properties, "properties": one.properties} for name, one in TYPES.items()}
        return sdk.GetSchemaResponse(schema=json.dumps({"name": PACKAGE, "version": VERSION, "resources": resources}))

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        olds, news = plain_map(request.old_state), plain_map(request.new_inputs)
        found = [one for name in sorted({*olds, *news}) for one in walk(name, olds.get(name), news.get(name))]
        return sdk.DiffResponse(
            changes=bool(found),
            diffs=sorted({path.split(".")[0].split("[")[0] for path, _ in found}),
            replaces=[],
            detailed_diff={path: sdk.PropertyDiff(_KINDS[kind], input_diff=True) for path, kind in found},
        )

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        kind, client = _behind(request.urn)
        seen = kind.read(client, request.resource_id)
        if seen is None:
            return sdk.ReadResponse(resource_id="", properties={}, inputs={})
        values = {name: wrapped(value) for name, value in seen.items()}
        return sdk.ReadResponse(resource_id=request.resource_id, properties=values, inputs=values)

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        if request.preview:
            return sdk.CreateResponse(resource_id="", properties=request.properties)
        return sdk.CreateResponse(resource_id=_put(request.urn, request.properties), properties=request.properties)

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        if not request.preview:
            _put(request.urn, request.news)
        return sdk.UpdateResponse(properties=request.news)

    async def delete(self, request: sdk.DeleteRequest) -> None:
        kind, client = _behind(request.urn)
        kind.delete(client, request.resource_id)


def _behind(urn: str) -> tuple[AwsType, Any]:
    kind = TYPES[urn.split("::")[2].rpartition("$")[2]]
    return kind, boto3.client(kind.service)


def _put(urn: str, properties: dict[str, PropertyValue]) -> str:
    inputs = plain_map(properties)
    assert UNKNOWN not in inputs.values()
    kind, client = _behind(urn)
    return kind.put(client, inputs)


if __name__ == "__main__":
    main(sys.argv[1:], VERSION, FakeAws())
