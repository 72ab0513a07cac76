"""Types with the shapes of AWS, each read and written by boto3: what a provider of AWS would ask, of whatever answers as AWS."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Json = Any
Properties = dict[str, Json]
PACKAGE = "fakeaws"
VERSION = "1.0.0"
_GONE = {"404", "NoSuchBucket", "NoSuchTagSet", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NoSuchEntity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsType:
    """One type: `put` makes the object or brings it to these inputs and returns its id; `read` gives None where it is gone."""

    service: str
    properties: Mapping[str, Json]
    put: Callable[[Any, Properties], str]
    read: Callable[[Any, str], Properties | None]
    delete: Callable[[Any, str], object]


def absent(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in _GONE


def _put_bucket(s3: Any, inputs: Properties) -> str:
    name = str(inputs["bucket"])
    s3.create_bucket(Bucket=name)
    status = "Enabled" if inputs.get("versioning") else "Suspended"
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    tags = [{"Key": key, "Value": value} for key, value in inputs.get("tags", {}).items()]
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return name


def _read_bucket(s3: Any, name: str) -> Properties | None:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if absent(error):
            return None
        raise
    versioning = s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled"
    return {"bucket": name, "versioning": versioning, "tags": _tags_of(s3, name)}


def _tags_of(s3: Any, name: str) -> dict[str, str]:
    try:
        return {one["Key"]: one["Value"] for one in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
    except ClientError as error:
        if absent(error):
            return {}
        raise


def _put_role(iam: Any, inputs: Properties) -> str:
    name = str(inputs["name"])
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    wanted = set(inputs.get("policies", []))
    attached = set(_policies_of(iam, name))
    for policy in wanted - attached:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    for policy in attached - wanted:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    iam.update_role(RoleName=name, MaxSessionDuration=int(inputs.get("maxSessionDuration", 3600)))
    return name


def _read_role(iam: Any, name: str) -> Properties | None:
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if absent(error):
            return None
        raise
    return {"name": name, "maxSessionDuration": role["MaxSessionDuration"], "policies": _policies_of(iam, name)}


def _policies_of(iam: Any, name: str) -> list[str]:
    return sorted(one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"])


def _delete_role(iam: Any, name: str) -> None:
    for policy in _policies_of(iam, name):
        iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    iam.delete_role(RoleName=name)


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
TYPES: Mapping[str, AwsType] = {
    f"{PACKAGE}:s3:Bucket": AwsType(
        service="s3",
        properties={"bucket": {"type": "string"}, "versioning": {"type": "boolean"}, "tags": _TEXTS},
        put=_put_bucket,
        read=_read_bucket,
        delete=lambda s3, name: s3.delete_bucket(Bucket=name),
    ),
    f"{PACKAGE}:iam:Role": AwsType(
        service="iam",
        properties={
            "name": {"type": "string"},
            "maxSessionDuration": {"type": "number"},
            "policies": {"type": "array", "items": {"type": "string"}},
        },
        put=_put_role,
        read=_read_role,
        delete=_delete_role,
    ),
}
