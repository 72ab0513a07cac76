"""Resources with the shapes of AWS, changed behind Pulumi's back by boto3, as a person with a console or another tool would."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tasks.errors import StackError
from tasks.stacks import Looked
from tests.drift.providing import Looker, References, looker, seen
from tests.lab.lab import Lab, LabStack
from tests.lab.program import Program, Resource
from tests.servers.moto import aws

SECRET = "canary-aws-secret"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET, ROLE = "fakeaws:s3:Bucket", "fakeaws:iam:Role"
Client = Callable[[str], Any]


@pytest.fixture
def endpoint() -> Iterator[str]:
    with aws() as address:
        yield address


@pytest.fixture
def client(endpoint: str) -> Client:
    return lambda service: boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="console", aws_secret_access_key="person"
    )


@pytest.fixture
def policies(client: Client) -> list[str]:
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    made = (client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(allow)) for name in ("read", "admin"))
    return [one["Policy"]["Arn"] for one in made]


@pytest.fixture
def stack(lab: Lab, endpoint: str, policies: list[str]) -> LabStack:
    resources = {
        "logs": Resource(kind=BUCKET, properties={"bucket": "logs", "versioning": True, "tags": {"team": "infra"}}),
        "media": Resource(kind=BUCKET, properties={"bucket": "media", "versioning": False, "tags": {"team": "web"}}),
        "deployer": Resource(kind=ROLE, properties={"name": "deployer", "maxSessionDuration": 3600, "policies": policies[:1]}),
    }
    return lab.stack(Program(resources=resources, name="aws"), environment={**KEYS, "AWS_ENDPOINT_URL": endpoint})


@pytest.fixture
def look(lab: Lab) -> Looker:
    return looker(lab, References({"env:KEY": SECRET}))


def at(look: Looker, stack: LabStack, looked: Looked = Looked.D) -> object:
    """With the secret key by reference, as an estate has it."""
    return seen(look.look(stack, looked, environment={**stack.environment, "AWS_SECRET_ACCESS_KEY": "env:KEY"}))


def test_what_nobody_touched_has_not_drifted(stack: LabStack, look: Looker) -> None:
    assert at(look, stack) == {}


def test_what_boto3_changed_is_told_property_by_property(
    stack: LabStack, look: Looker, client: Client, policies: list[str]
) -> None:
    client("s3").put_bucket_versioning(Bucket="logs", VersioningConfiguration={"Status": "Suspended"})
    client("s3").put_bucket_tagging(Bucket="logs", Tagging={"TagSet": [{"Key": "owner", "Value": "nobody"}]})
    client("iam").attach_role_policy(RoleName="deployer", PolicyArn=policies[1])
    client("s3").delete_bucket(Bucket="media")
    told = at(look, stack)
    assert told == {
        "logs": ("update", {"versioning": (True, False), "tags.team": ("infra", None), "tags.owner": (None, "nobody")}),
        "deployer": ("update", {"policies[0]": (policies[0], policies[1]), "policies[1]": (None, policies[0])}),
        "media": ("delete", {}),
    }
    assert at(look, stack) == told


def test_an_aws_that_cannot_be_reached_is_no_drift(stack: LabStack, look: Looker) -> None:
    gone = {**stack.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    with pytest.raises(StackError) as refused:
        look.look(stack, environment=gone)
    assert refused.value.reason == "read_unreachable"
