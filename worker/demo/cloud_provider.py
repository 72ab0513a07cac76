"""`pulumi-resource-democloud`: a Pulumi provider over the demo's cloud, in the folder that `DEMOCLOUD` names.

Every property is a string. Only Pulumi starts this module: it needs the `pulumi` package, which takes a second to import.
"""

import json
import os
import sys
from pathlib import Path

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

from worker.demo.cloud import Cloud, Properties
from worker.demo.plain_provider import PlainProvider

PACKAGE, VERSION = "democloud", "1.0.0"
KINDS = ("Firewall", "Server", "Bucket")
NAMES = ("cidr", "label", "public", "size")
_Values = dict[str, PropertyValue]


def schema() -> str:
    """What `GetSchema` answers."""
    properties = {name: {"type": "string"} for name in NAMES}
    kinds = {f"{PACKAGE}:index:{kind}": {"inputProperties": properties, "properties": properties} for kind in KINDS}
    return json.dumps({"name": PACKAGE, "version": VERSION, "provider": {}, "resources": kinds})


class DemoCloud(PlainProvider):
    """One process of the provider."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self._cloud = cloud

    async def get_schema(self, _request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        return sdk.GetSchemaResponse(schema())

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        old, new = _plain(request.old_state), _plain(request.new_inputs)
        differ = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        detailed = {name: sdk.PropertyDiff(_kind(name, old, new), input_diff=True) for name in differ}
        return sdk.DiffResponse(changes=bool(differ), diffs=differ, replaces=[], detailed_diff=detailed)

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        seen = self._cloud.get(request.resource_id)
        if seen is None:
            return sdk.ReadResponse(resource_id="", properties={}, inputs={})
        values = {name: PropertyValue(value) for name, value in seen.items()}
        return sdk.ReadResponse(resource_id=request.resource_id, properties=values, inputs=values)

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        stack, project = request.urn.removeprefix("urn:pulumi:").split("::")[:2]
        object_id = f"{project}.{stack}.{request.name}"
        if not request.preview:
            self._cloud.put(object_id, _plain(request.properties))
        return sdk.CreateResponse(resource_id=object_id, properties=request.properties)

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        if not request.preview:
            self._cloud.put(request.resource_id, _plain(request.news))
        return sdk.UpdateResponse(properties=request.news)

    async def delete(self, request: sdk.DeleteRequest) -> None:
        self._cloud.remove(request.resource_id)


def _plain(values: _Values) -> Properties:
    return {name: str(values[name].value) for name in NAMES if name in values and values[name].value is not None}


def _kind(name: str, old: Properties, new: Properties) -> sdk.PropertyDiffKind:
    if name not in old:
        return sdk.PropertyDiffKind.ADD
    return sdk.PropertyDiffKind.UPDATE if name in new else sdk.PropertyDiffKind.DELETE


if __name__ == "__main__":
    main(sys.argv[1:], VERSION, DemoCloud(Cloud(Path(os.environ["DEMOCLOUD"]))))
