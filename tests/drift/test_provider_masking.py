"""What of a property is a secret: by the event, by the state, by its name, by the look of its value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.masking import Mask
from tasks.providers.pulumi.backends import Checkpoint
from tasks.providers.pulumi.checkpoint import SECRET, SIGNATURE, parse
from tasks.providers.pulumi.comparing import Comparison
from tasks.providers.pulumi.masking import MASKED, Masker, looks_secret
from tasks.providers.pulumi.paths import ABSENT, at_path, parse_path, show_path
from tasks.providers.pulumi.reasons import reason_of, reason_of_read
from tests.drift.providing import mac

URN = "urn:pulumi:dev::lab::fakecloud:index:Server::a"
SEALED = {SIGNATURE: SECRET, "ciphertext": "v1:xyz"}


def masker(**inputs: object) -> Masker:
    resource = {
        "urn": URN,
        "type": "fakecloud:index:Server",
        "custom": True,
        "inputs": inputs,
        "additionalSecretOutputs": ["made"],
    }
    content = json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [resource]}}}).encode()
    return Masker(mac, parse(Checkpoint(content=content, updated_at=None), "a state").secret_paths, Mask.of(["granted-value"]))


@pytest.mark.parametrize(
    ("path", "values"),
    [
        pytest.param("label", (MASKED, MASKED), id="the engine masked it"),
        pytest.param("tags", ({"a": MASKED}, {"a": "b"}), id="the engine masked a part of it"),
        pytest.param("kept", ("old", "new"), id="the state keeps a secret there"),
        pytest.param("deep.inner", ("old", "new"), id="the state keeps a secret at a deeper place"),
        pytest.param("deep", ({"x": 1}, {"x": 2}), id="the state keeps a secret within"),
        pytest.param("made", ("old", "new"), id="the provider's schema says so"),
        pytest.param("dbPassword", ("old", "new"), id="its name says so"),
        pytest.param("environment.API_TOKEN", ("old", "new"), id="a name on its way says so"),
        pytest.param("settings", ({"client_secret": "x"}, ABSENT), id="a name within says so"),
        pytest.param("label", ("a", "AKIAIOSFODNN7EXAMPLE"), id="a key of AWS"),
        pytest.param("url", ("https://ana:hunter22@host/", "https://host/"), id="a password in an address"),
        pytest.param("label", ("a", "zT8kQ2mX9vB4nL7pR1wY5cJ3hF6gD0sA"), id="it is too dense for words"),
    ],
)
def test_a_secret_is_hidden(path: str, values: tuple[object, object]) -> None:
    assert masker(kept=SEALED, deep={"inner": {"most": SEALED}, "list": [SEALED]}).hides(URN, parse_path(path), *values)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("size", (1, 9)),
        ("label", ("web", "web-2")),
        (
            "secretArn",
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-a1b2c3", "arn:aws:secretsmanager:eu-west-1:1:secret:x"),
        ),
        ("image", ("sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "nginx:1.27")),
        ("vpcId", ("vpc-0a1b2c3d4e5f67890", "vpc-1a1b2c3d4e5f67890")),
        ("id", ("7d793037-a076-4f3a-8c4b-2f2b6b1d9c10", None)),
        ("tokenTtl", (3600, 7200)),
        ("kept.other", ("a", "b")),
    ],
)
def test_what_is_none_is_shown(path: str, values: tuple[object, object]) -> None:
    assert not masker(kept={"inner": SEALED}).hides(URN, parse_path(path), *values)


def test_a_hidden_value_is_taken_out_of_the_diagnostics_too() -> None:
    one = masker()
    assert one.hides(URN, ("password",), "old-horse", "new-horse")
    assert one.text("login with new-horse failed, as did granted-value") == f"login with {MASKED} failed, as did ***"


def test_a_fingerprint_tells_whether_a_secret_moved_and_not_what_it_is() -> None:
    one = masker()
    same = one.fingerprint(URN, "password", "old", "new")
    assert same == one.fingerprint(URN, "password", "old", "new")
    assert same != one.fingerprint(URN, "password", "old", "newer")
    assert same != one.fingerprint(URN, "token", "old", "new")
    assert one.fingerprint(URN, "password", ABSENT, "new") != one.fingerprint(URN, "password", None, "new")
    assert one.fingerprint(URN, "password", MASKED, "new") == ""


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz -./", max_size=80))
def test_words_do_not_look_like_a_secret(text: str) -> None:
    assert not looks_secret(text)


STEPS = st.one_of(st.integers(0, 99), st.text(min_size=1, max_size=8).filter(lambda text: "*" not in text))


@given(st.lists(STEPS, min_size=1, max_size=5).map(tuple).filter(lambda path: isinstance(path[0], str)))
def test_a_path_is_read_as_it_is_written(path: tuple[str | int, ...]) -> None:
    assert parse_path(show_path(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("tags.team", ("tags", "team")),
        ("rules[0].port", ("rules", 0, "port")),
        ('tags["a.b"]', ("tags", "a.b")),
        ('["x y"]', ("x y",)),
    ],
)
def test_paths_as_pulumi_writes_them(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


def test_a_path_that_leads_nowhere_is_not_null() -> None:
    assert at_path({"a": [None]}, ("a", 0)) is None
    assert at_path({"a": [None]}, ("a", 1)) is ABSENT
    assert at_path({"a": [None]}, ("a", "b")) is ABSENT


def test_where_the_provider_does_not_say_what_differs_the_values_do() -> None:
    whole = masker()
    deployment = parse(Checkpoint(content=b'{"checkpoint":{"latest":null}}', updated_at=None), "a state")
    metadata = {
        "urn": URN,
        "type": "fakecloud:index:Server",
        "provider": "urn:pulumi:dev::lab::pulumi:providers:fakecloud::default_1_2_0::0a",
        "old": {"id": "a", "inputs": {"size": 1, "tags": {"x": "1"}, "list": [1, 2]}, "outputs": {}},
        "new": {"id": "a", "inputs": {"size": 2, "tags": {"x": "1", "y": "2"}, "list": [1]}, "outputs": {}},
        "detailedDiff": {},
    }
    change = Comparison(deployment, whole).change(metadata, "update")
    assert [(one.path, one.kind, one.before, one.after) for one in change.properties] == [
        ("list", "update", [1, 2], [1]),
        ("size", "update", 1, 2),
        ("tags.y", "add", None, "2"),
    ]
    assert (change.provider, change.provider_name) == ("fakecloud 1.2.0", "default_1_2_0")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("error: getting secrets manager: incorrect passphrase", "wrong_passphrase"),
        ("error: no stack named 'x' found", "stack_missing"),
        (
            "operation error STS: GetCallerIdentity, ExpiredToken: The security token included in the request is expired",
            "credentials_expired",
        ),
        ("no resource plugin 'pulumi-resource-aws' found in the workspace", "plugin_missing"),
        ("error: Missing required configuration variable 'web:region'", "config_missing"),
        ("snapshot integrity failure; it was already written", "state_corrupt"),
        ("something nobody foresaw", "failed"),
    ],
)
def test_what_pulumi_says_has_a_reason_code(said: str, reason: str) -> None:
    assert reason_of(said, 255) == reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("AccessDenied: User is not authorized to perform ec2:DescribeVpcs", "read_denied"),
        ("ThrottlingException: Rate exceeded", "read_throttled"),
        ("ExpiredTokenException: the token has expired", "credentials_expired"),
        ("Client.Timeout exceeded while awaiting headers", "read_timed_out"),
        ("what?", "read_failed"),
    ],
)
def test_a_failing_read_has_a_reason_code(said: str, reason: str) -> None:
    assert reason_of_read(said) == reason
