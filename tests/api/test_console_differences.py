"""The page of a finding that differs: desired, last known, actual, who, since when."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.api.kit import House
from tests.api.test_console import LIMIT, ids_in
from worker.ledger import findings
from worker.ledger.rows import new_id

CHANGE: dict[str, Any] = {
    "name": "logs",
    "type": "cloud:Bucket",
    "path": "size",
    "kind": "update",
    "desired": 5,
    "last_known": 7,
    "actual": "<b>9</b>",
    "secret": False,
    "in_cloud": True,
}
EVIDENCE: dict[str, Any] = {
    "changes": [CHANGE],
    "changes_count": 1,
    "since": "2026-11-20T02:14:00+00:00",
    "who": "<ana> by the console",
    "last_update": {"at": "2026-11-01T00:00:00+00:00", "commit": "0123456789abcdef", "dirty": True},
    "coverage": "94 %",
}


@pytest.fixture
def ana(house: House) -> httpx.Client:
    """An admin, signed in, after a night."""
    house.work = True
    house.client(house.token()).post("/v1/runs", json={"items": [{"job": "doors"}]})
    return house.signed_in("ana")


def page_of(house: House, ana: httpx.Client, **changes: Any) -> str:
    run = ids_in(ana.get("/runs?job=doors").text, "runs")[0]
    with house.shift.ledger.transaction() as tx:
        row = replace(findings.listing(tx, limit=1)[0], id=new_id(), key=new_id(), run_id=run, **changes)
        findings.insert_finding(tx, row)
    answer = ana.get(f"/findings/{row.id}")
    assert answer.status_code == 200
    assert len(answer.content) < LIMIT
    return answer.text


def test_a_drift_shows_what_should_be_what_was_last_known_and_what_is(house: House, ana: httpx.Client) -> None:
    page = page_of(house, ana, evidence=EVIDENCE)
    for shown in (
        '<td class="path">logs · size<span class="soft">cloud:Bucket</span></td>',
        '<td class="want" data-of="desired">5</td>',
        '<td data-of="last known">7</td>',
        '<td class="is" data-of="actual">&lt;b&gt;9&lt;/b&gt;</td>',
        'So since <time datetime="2026-11-20T02:14:00Z">',
        "Who: &lt;ana&gt; by the console.",
        "commit 0123456789a… and more",
        "94 %",
    ):
        assert shown in page
    assert "changes count" not in page


def test_what_only_the_program_differs_in_says_that_the_world_was_not_asked(house: House, ana: httpx.Client) -> None:
    page = page_of(house, ana, evidence={"changes": [{**CHANGE, "in_cloud": False}]})
    assert '<td class="" data-of="actual">as last known</td>' in page


def test_a_finding_with_only_desired_and_actual_is_a_difference_too(house: House, ana: httpx.Client) -> None:
    page = page_of(house, ana, evidence={"why": "x"}, desired={"mode": "0600"}, actual={"mode": "0644"})
    assert '<td class="path">mode</td>' in page
    assert '<td data-of="last known">not known</td>' in page


def test_a_finding_of_no_difference_has_no_such_table(house: House, ana: httpx.Client) -> None:
    assert "What differs" not in page_of(house, ana, evidence={"why": "x"})


def test_the_biggest_drift_keeps_within_the_page_and_says_what_is_left_out(house: House, ana: httpx.Client) -> None:
    texts = {"name": '"' * 300, "type": '"' * 300, "path": "<" * 300, "desired": "&" * 2_000, "actual": '"' * 2_000}
    page = page_of(
        house,
        ana,
        title='<&">' * 60,
        subject="s" * 300,
        detail="<d>" * 900,
        evidence={
            **{f"member_{n}": {"text": '"<>"' * 300} for n in range(40)},
            "changes": [{**CHANGE, **texts}] * 50,
            "changes_count": 400,
        },
    )
    assert "more, as JSON</a>" in page
    assert "400 properties" in page


def test_a_batch_is_told_in_one_line_by_api_and_page(house: House, ana: httpx.Client) -> None:
    [batch] = ids_in(ana.get("/").text, "batches")
    told = house.client(house.token()).get(f"/v1/batches/{batch}").json()["report"]
    assert told == "looked at 3 of 3, 1 with findings, 1 cannot tell"
    assert "Looked at 3 of 3, 1 with findings, 1 cannot tell" in ana.get(f"/batches/{batch}").text
