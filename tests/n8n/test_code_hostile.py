"""An n8n in other hands, or of another time, answers what it likes: we say that it is strange, and neither hang nor break."""

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.providers.n8n.api import MOST_BYTES, N8nApi
from tasks.providers.n8n.errors import N8nError, WorkflowError
from tasks.providers.n8n.instance import Instance, look
from tasks.providers.n8n.workflow import slug
from tests.support.odd_n8n import odd_n8n

NODE = {"id": "n", "name": "By hand", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1, "position": [0, 0]}
GOOD: Mapping[str, Any] = {
    "id": "w1", "name": "Ours / One", "nodes": [NODE], "connections": {}, "settings": {}, "tags": [],
    "versionId": "v1", "activeVersion": None, "updatedAt": "2026-11-21T00:00:00Z",
}  # fmt: skip


def seen(**members: Any) -> Instance:
    """What we make of one workflow that is as it should be, but for these members."""
    row = {key: value for key, value in {**GOOD, **members}.items() if value != "left out"}
    with odd_n8n(workflows=lambda _: {"data": [row], "nextCursor": None}) as url, N8nApi(url, "key") as api:
        return look(api)


def nested(depth: int) -> bytes:
    """Written by hand: our own JSON would not go so deep."""
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    node = b'{"name":"N","type":"t","position":[0,0],"parameters":' + deep + b"}"
    return b'{"data":[{"id":"w1","name":"Deep","connections":{},"nodes":[' + node + b']}],"nextCursor":null}'


def test_what_is_as_it_should_be_is_read() -> None:
    assert [held.slug for held in seen().held] == ["ours_one"]


@pytest.mark.parametrize(
    "members",
    [
        {"id": "left out"},
        {"name": "left out"},
        {"name": 7},
        {"nodes": "left out"},
        {"nodes": {"a": 1}},
        {"nodes": [1, 2]},
        {"nodes": [{**NODE, "parameters": [1]}]},
        {"nodes": [{**NODE, "credentials": ["x"]}]},
        {"nodes": [{**NODE, "position": "here"}]},
        {"connections": [1]},
        {"connections": {"By hand": {"main": [[{"index": "x"}]]}}},
        {"settings": [1]},
        {"tags": 5},
        {"tags": [{}]},
        {"activeVersion": {"versionId": "v1"}},
        {"activeVersion": {"nodes": [], "connections": {}}},
        {"activeVersion": "yes"},
    ],
    ids=str,
)
def test_a_workflow_of_another_form_is_named_as_such(members: dict[str, Any]) -> None:
    with pytest.raises((N8nError, WorkflowError)) as caught:
        seen(**members)
    assert str(caught.value)


@pytest.mark.parametrize("answer", [[], "text", 7, None, {"data": {}}, {"data": [1]}, {"data": [None]}, {"rows": []}], ids=str)
def test_a_list_of_another_form_is_named_as_such(answer: Any) -> None:
    for name in ("workflows", "credentials", "tags"):
        with odd_n8n(**{name: lambda _: answer}) as url, N8nApi(url, "key") as api, pytest.raises(N8nError, match="n8n"):
            look(api)


@pytest.mark.parametrize("depth", [500, 100_000])
def test_what_goes_too_deep_is_refused(depth: int) -> None:
    with odd_n8n(workflows=lambda _: nested(depth)) as url, N8nApi(url, "key") as api, pytest.raises((N8nError, WorkflowError)):
        look(api)


def test_pages_without_end_are_not_followed_for_ever() -> None:
    rounds: list[str] = []

    def page(query: Mapping[str, list[str]]) -> Any:
        rounds.append(query.get("cursor", [""])[0])
        return {"data": [], "nextCursor": f"c{len(rounds)}"}

    with odd_n8n(workflows=page) as url, N8nApi(url, "key") as api, pytest.raises(N8nError, match="pages"):
        look(api)


def test_an_answer_without_measure_is_not_swallowed() -> None:
    with (
        odd_n8n(workflows=lambda _: b" " * (MOST_BYTES + 1)) as url,
        N8nApi(url, "key") as api,
        pytest.raises(N8nError, match="MiB"),
    ):
        look(api)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Ops / Größe prüfen", "ops_größe_prüfen"),
        ("Gro\u0308ße", "größe"),
        ("夜間 / 証明書", "夜間_証明書"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "workflow_"),
        ("🚀", "workflow_"),
        ("x" * 300, "x" * 200 + "_"),
    ],
)
def test_every_name_gives_a_file_name_of_its_own(name: str, wanted: str) -> None:
    found = slug(name)
    assert found.startswith(wanted)
    assert found == slug(name) != slug(f"{name}!🚀" if found.startswith("workflow_") else f"{name} 2")
    assert len(f".{found}.json.part".encode()) < 255
    assert set("/\\.\0") & set(found) == set()
