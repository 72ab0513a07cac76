"""States are read where they lie, from each kind of backend, and what is wrong with one has a stable reason code."""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import psycopg
import pytest

from tasks.errors import StackError
from tasks.providers.pulumi import PulumiStacks
from tasks.providers.pulumi.automation import CliBackend
from tasks.providers.pulumi.checkpoint import parse
from tasks.stacks import Backend, Listed, Stack
from tests.drift.providing import References, looker, mac, seen, servers
from tests.lab.lab import Lab, LabStack
from tests.servers import PostgresServer
from tests.servers.moto import aws

KEYS = {"AWS_ACCESS_KEY_ID": "env:KEY_ID", "AWS_SECRET_ACCESS_KEY": "env:KEY", "AWS_REGION": "us-east-1"}
VALUES = {"env:KEY_ID": "AKIAIOSFODNN7EXAMPLE", "env:KEY": "canary-s3-secret", "env:TOKEN": "pul-canary"}
LISTED = [Listed(organization="organization", project="lab", name="dev")]


def refusal(stacks: PulumiStacks, stack: Stack) -> str:
    with pytest.raises(StackError) as refused:
        stacks.state(stack)
    assert "canary" not in str(refused.value)
    return refused.value.reason


def moved(lab: Lab, stack: LabStack, backend: Backend, environment: Mapping[str, str]) -> Stack:
    """The same stack with its state in another backend, put there by the CLI itself."""
    exported = lab.folder / "exported.json"

    def pulumi(*words: str, **variables: str) -> None:
        environ = {**lab.environment(stack), **variables}
        done = subprocess.run(
            [str(lab.programs.pulumi), *words, "--non-interactive"],
            cwd=stack.folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    pulumi("stack", "export", "--stack", stack.name, "--file", str(exported))
    there = {**environment, "PULUMI_BACKEND_URL": backend.url}
    pulumi("stack", "init", stack.name, **there)
    pulumi("stack", "import", "--stack", stack.name, "--file", str(exported), **there)
    return lab.value(stack, backend=backend)


@pytest.fixture
def s3() -> Iterator[str]:
    """Address of an S3 that holds the bucket `states`."""
    with aws() as address:
        client(address).create_bucket(Bucket="states")
        yield address.removeprefix("http://")


def client(endpoint: str) -> Any:
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")


def test_states_in_s3(lab: Lab, s3: str) -> None:
    url = f"s3://states/team/one?region=us-east-1&endpoint={s3}&disableSSL=true&s3ForcePathStyle=true"
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    stack = lab.stack(servers(a=1))
    look = looker(lab, References(VALUES))
    value = moved(lab, stack, Backend(url=url, credentials=KEYS), credentials)
    assert look.stacks.listed(value.backend) == LISTED
    state = look.stacks.state(value)
    assert (len(state.resources), state.lock, state.updated_at is not None) == (3, None, True)
    lab.cloud.change(stack.id("a"), size=9)
    before = objects(s3)
    found = look.at(value)
    assert (seen(found), found.state_before) == ({"a": ("update", {"size": (1, 9)})}, state.sha256)
    assert objects(s3) == before


def objects(s3: str) -> dict[str, str]:
    """Every object with its ETag and time."""
    listing = client(f"http://{s3}").list_objects_v2(Bucket="states")
    return {one["Key"]: f"{one['ETag']} {one['LastModified']}" for one in listing["Contents"]}


def test_what_is_wrong_with_s3(lab: Lab, s3: str) -> None:
    stacks, stack = looker(lab, References(VALUES)).stacks, LabStack(program=servers(a=1), name="dev", folder=lab.folder)

    def said(url: str, credentials: Mapping[str, str] = KEYS) -> str:
        return refusal(stacks, lab.value(stack, backend=Backend(url=f"{url}&disableSSL=true", credentials=credentials)))

    assert said(f"s3://states?endpoint={s3}") == "stack_missing"
    assert said(f"s3://nowhere?endpoint={s3}") == "backend_unreachable"
    assert said("s3://states?endpoint=127.0.0.1:9") == "backend_unreachable"
    assert said(f"s3://states?endpoint={s3}", {"AWS_ACCESS_KEY_ID": "env:NOT_THERE"}) == "backend_credentials"


def test_states_in_postgresql(lab: Lab, postgres_server: PostgresServer) -> None:
    database = postgres_server.create_database()
    url = f"postgres://nightshift@127.0.0.1:{postgres_server.port}/{database}?sslmode=disable&table=kept"
    stack = lab.stack(servers(a=1))
    look = looker(lab)
    value = moved(lab, stack, Backend(url=url), {})
    assert look.stacks.listed(value.backend) == LISTED
    state = look.stacks.state(value)
    assert (len(state.resources), state.lock, state.updated_at is not None) == (3, None, True)
    lab.cloud.change(stack.id("a"), size=9)
    with psycopg.connect(postgres_server.conninfo(database)) as connection:
        before = connection.execute("SELECT key, updated_at, data::text FROM kept ORDER BY key").fetchall()
        assert seen(look.at(value)) == {"a": ("update", {"size": (1, 9)})}
        assert connection.execute("SELECT key, updated_at, data::text FROM kept ORDER BY key").fetchall() == before

    def said(**changes: str) -> str:
        changed = url.replace(changes.get("old", " "), changes.get("new", " "))
        return refusal(look.stacks, lab.value(stack, backend=Backend(url=changed), name=changes.get("name", "dev")))

    assert said(name="other") == "stack_missing"
    assert said(old="table=kept", new="table=other") == "backend_unreachable"
    assert said(old=str(postgres_server.port), new="9") == "backend_unreachable"
    assert said(old="nightshift@", new="nobody:canary@") == "backend_credentials"


def test_a_backend_that_only_the_cli_can_read(lab: Lab) -> None:
    # Any will do: what is asked of the CLI is the same.
    stack = lab.stack(servers(a=1))
    stacks = looker(lab).stacks
    reader = CliBackend(lab.backend_url, {}, stacks.cli(), lab.folder / "commands")
    value = lab.value(stack)
    assert reader.listed() == LISTED
    state = parse(reader.checkpoint(value), "a state")
    assert [one["urn"] for one in state.custom()] == [stack.urn("a")]
    assert reader.checkpoint(value) == reader.checkpoint(value)
    assert set(reader.last_update(value)) == {"environment"}
    with pytest.raises(StackError) as refused:
        reader.checkpoint(replace(value, name="other"))
    assert refused.value.reason == "stack_missing"
    assert list((lab.folder / "commands").iterdir()) == []


STACK = {"orgName": "acme", "projectName": "web", "stackName": "prod", "currentOperation": None, "version": 12}
DEPLOYMENT = {
    "manifest": {},
    "resources": [{"urn": "urn:pulumi:prod::web::pulumi:pulumi:Stack::web-prod", "type": "pulumi:pulumi:Stack", "custom": False}],
}
ANSWERS: dict[str, Any] = {
    "/api/user/stacks": {"stacks": [{"orgName": "acme", "projectName": "web", "stackName": "prod"}], "continuationToken": "2"},
    "/api/user/stacks?continuationToken=2": {"stacks": [{"orgName": "acme", "projectName": "web", "stackName": "dev"}]},
    "/api/stacks/acme/web/prod/export": {"version": 3, "deployment": DEPLOYMENT},
    "/api/stacks/acme/web/prod": {
        **STACK,
        "activeUpdate": "5f1c",
        "currentOperation": {"kind": "update", "author": "ana", "started": 1763762400},
    },
    "/api/stacks/acme/web/prod/updates/latest": {
        "info": {"endTime": 1763762300, "environment": {"git.head": "0a" * 20, "git.dirty": "true"}}
    },
    "/api/stacks/acme/web/broken/export": "not what was asked for",
}


@contextmanager
def cloud(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Pulumi Cloud by its documented shapes; what it was asked, with the authorization."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']} {self.headers['Accept']}")
            answer = ANSWERS.get(self.path)
            self.send_response(status if answer is not None else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_states_in_pulumi_cloud(tmp_path: Any) -> None:
    stacks = PulumiStacks(secrets=References(VALUES), mac=mac, cache=tmp_path)
    with cloud() as (url, asked):
        backend = Backend(url=url, credentials={"PULUMI_ACCESS_TOKEN": "env:TOKEN"})
        assert [one.full_name for one in stacks.listed(backend)] == ["acme/web/dev", "acme/web/prod"]
        state = stacks.state(Stack(organization="acme", project="web", name="prod", backend=backend, source=None))
        missing = refusal(stacks, Stack(organization="acme", project="web", name="other", backend=backend, source=None))
        broken = refusal(stacks, Stack(organization="acme", project="web", name="broken", backend=backend, source=None))
    assert all(line.endswith(" token pul-canary application/vnd.pulumi+8") for line in asked)
    assert (len(state.resources), state.git_commit, state.git_dirty) == (1, "0a" * 20, True)
    assert state.lock is not None
    assert (state.lock.user, state.lock.since.isoformat()) == ("ana", "2025-11-21T22:00:00+00:00")
    assert (missing, broken) == ("stack_missing", "backend_unreachable")


def test_what_is_wrong_with_pulumi_cloud(tmp_path: Any) -> None:
    stacks = PulumiStacks(secrets=References(VALUES), mac=mac, cache=tmp_path)

    def said(url: str, **credentials: str) -> str:
        backend = Backend(url=url, credentials=credentials)
        return refusal(stacks, Stack(organization="acme", project="web", name="prod", backend=backend, source=None))

    with cloud(401) as (url, _):
        assert said(url, PULUMI_ACCESS_TOKEN="env:TOKEN") == "backend_credentials"
        assert said(url) == "backend_credentials"
    with cloud(503) as (url, _):
        assert said(url, PULUMI_ACCESS_TOKEN="env:TOKEN") == "backend_unreachable"
    assert said(url, PULUMI_ACCESS_TOKEN="env:TOKEN") == "backend_unreachable"
