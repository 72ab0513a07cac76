"""A request becomes a batch of queued runs, or is refused and nothing is written."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.shift import ANA, Rig, Site, request
from worker.flow import Order, enqueue
from worker.flow.errors import Forbidden, Invalid, KeyConflict, NotFound
from worker.ledger import audit_rows, batches, runs
from worker.records import RunState, Trigger


def nothing_written(rig: Rig) -> bool:
    with rig.ledger.read() as connection:
        return batches.listing(connection) == [] and runs.listing(connection) == [] and audit_rows.count(connection) == 0


@pytest.mark.parametrize(
    ("job", "params", "told"),
    [
        ("sitez", {}, "no job is called 'sitez': did you mean 'sites'? jobs are singles, sites"),
        ("sites", {"entries": ["aa"]}, "the estate has no sites entry 'aa': did you mean a?"),
        ("sites", {"entries": ["nowhere"]}, "the estate has no sites entry 'nowhere': it has 3 entries"),
    ],
)
def test_what_does_not_exist_is_not_found_and_the_nearest_named(rig: Rig, job: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(NotFound) as refused:
        rig.order(job, **params)
    assert str(refused.value) == told
    assert nothing_written(rig)


@pytest.mark.parametrize(
    ("job", "params", "field", "told"),
    [
        (
            "sites",
            {"deep": 1},
            "params.deep",
            "sites: deep: Extra inputs are not permitted (parameters: depth, entries, targets)",
        ),
        ("sites", {"depth": "far"}, "params.depth", "sites: depth: Input should be a valid integer"),
        ("singles", {"targets": [{"name": "new"}]}, "params.targets", "`targets` is not accepted"),
        ("sites", {"targets": [{"name": "new", "port": 1}]}, "params.port", "port: Extra inputs are not permitted"),
        ("sites", {"targets": [{"name": "new", "key_file": "/x"}]}, "params.targets.key_file", "is taken from the estate only"),
        ("sites", {"targets": [{"name": "a"}]}, "params.targets", "the name 'a' of a target is taken"),
        ("sites", {"targets": [{"name": "n"}, {"name": "n"}]}, "params.targets", "the name 'n' of a target is taken"),
    ],
)
def test_parameters_that_cannot_be_taken_are_refused_by_name(
    rig: Rig, job: str, params: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(Invalid) as refused:
        rig.order(job, **params)
    assert told in str(refused.value)
    assert refused.value.field == field
    assert nothing_written(rig)


def test_a_job_without_entries_has_nothing_to_look_at(rig: Rig) -> None:
    rig.watch("sites", {})
    with pytest.raises(Invalid, match=r"nothing to look at: the estate has no `\[\[sites\]\]` entries"):
        rig.order()


def test_whoever_may_not_run_it_there_gets_nothing_written(rig: Rig) -> None:
    asked: list[tuple[str, str, bool]] = []

    def permit(job: str, environment: str, ad_hoc: bool) -> None:  # noqa: FBT001 - the shape of a Permit
        asked.append((job, environment, ad_hoc))
        if ad_hoc:
            raise Forbidden("no grant for targets outside the estate")

    orders = [Order(job="sites"), Order(job="sites", params={"targets": [{"name": "new", "environment": "lab"}]})]
    with pytest.raises(Forbidden):
        enqueue(rig.shift, request(*orders), permit)
    assert asked == [("sites", "default", False), ("sites", "lab", True)]
    assert nothing_written(rig)


def test_entries_are_cut_into_runs_by_size_and_environment(rig: Rig) -> None:
    rig.watch(
        "singles",
        {
            **{n: Site(name=n, environment="prod", owner="o1", labels={"tier": "1", "n": n}) for n in "abc"},
            **{n: Site(name=n, environment="lab", owner="o2") for n in "de"},
            "f": Site(name="f", environment="lab", owner="o3"),
        },
    )
    made = rig.order("singles")
    assert [(run.environment, run.params["entries"], run.owner, run.labels) for run in made.runs] == [
        ("lab", ["d", "e"], "o2", {}),
        ("lab", ["f"], "o3", {}),
        ("prod", ["a", "b"], "o1", {"tier": "1"}),
        ("prod", ["c"], "o1", {"tier": "1", "n": "c"}),
    ]
    assert (made.batch.total, made.batch.remaining, made.batch.entries_expected, made.batch.revision) == (4, 4, 6, 1)
    assert {(run.state, run.trigger, run.epoch, run.revision) for run in made.runs} == {(RunState.QUEUED, Trigger.API, 1, 1)}


def test_runs_of_different_owners_together_have_none(rig: Rig) -> None:
    rig.watch("sites", {"a": Site(name="a", owner="o1"), "b": Site(name="b", owner="o2")})
    assert [run.owner for run in rig.order().runs] == [""]


def test_items_keep_their_order_and_number(rig: Rig) -> None:
    orders = [Order(job="singles"), Order(job="sites", params={"depth": 2}), Order(job="singles", params={"entries": ["z"]})]
    made = enqueue(rig.shift, request(*orders))
    assert [(run.position, run.item, run.job) for run in made.runs] == [
        (0, 0, "singles"),
        (1, 0, "singles"),
        (2, 1, "sites"),
        (3, 2, "singles"),
    ]
    assert made.runs[2].params == {"depth": 2, "entries": ["a", "b", "c"]}


def test_an_entry_named_twice_is_looked_at_once(rig: Rig) -> None:
    assert [run.params["entries"] for run in rig.order("singles", entries=["x", "x"]).runs] == [["x"]]


def test_the_batch_its_audit_row_and_its_bells_are_there_and_rung(rig: Rig) -> None:
    made = rig.order("singles")
    assert rig.rung == [run.id for run in made.runs]
    with rig.ledger.read() as connection:
        [row] = audit_rows.recent(connection, object_id=made.batch.id)
    assert (row.entry.actor, row.entry.verb) == (str(ANA), "batch.queued")
    assert row.entry.facts == {"runs": 2, "jobs": ["singles"], "trigger": "api", "schedule": None}


def test_the_same_key_with_the_same_body_joins_and_rings_no_more(rig: Rig) -> None:
    first = rig.order(key="n8n/1")
    again = rig.order(key="n8n/1")
    assert (first.joined, again.joined) == (False, True)
    assert (again.batch, list(again.runs)) == (first.batch, list(first.runs))
    assert rig.rung == [run.id for run in first.runs]


def test_the_same_key_with_another_body_is_refused_with_both_digests(rig: Rig) -> None:
    first = request(Order(job="sites"), key="n8n/1")
    other = request(Order(job="singles"), key="n8n/1")
    enqueue(rig.shift, first)
    with pytest.raises(KeyConflict) as refused:
        enqueue(rig.shift, other)
    assert first.digest() in str(refused.value)
    assert other.digest() in str(refused.value)
    with rig.ledger.read() as connection:
        assert len(batches.listing(connection)) == 1


def test_another_family_may_use_the_same_key(rig: Rig) -> None:
    assert not rig.order(key="k").joined
    assert not enqueue(rig.shift, request(Order(job="sites"), key="k", family="family-2")).joined


def test_without_a_key_the_same_body_is_new_work(rig: Rig) -> None:
    assert rig.order().batch.id != rig.order().batch.id


def test_of_many_with_one_key_at_once_one_makes_the_batch_and_the_others_join(rig: Rig) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: rig.order(key="k"), range(8)))
    assert sorted(one.joined for one in made) == [False, *[True] * 7]
    assert len({one.batch.id for one in made}) == 1
    assert len(rig.rung) == 1


def test_a_nights_second_caller_joins_it(rig: Rig) -> None:
    night = {"schedule": "nightly", "fire_key": "2026-11-21T02:30"}
    first = enqueue(rig.shift, request(Order(job="sites"), **night))
    again = enqueue(rig.shift, request(Order(job="sites"), **night))
    assert (again.joined, again.batch.id) == (True, first.batch.id)


def test_more_runs_than_a_request_may_ask_for_are_refused(rig: Rig) -> None:
    orders = [Order(job="sites", params={"entries": ["a"]})] * 100_001
    with pytest.raises(Invalid, match="100001 runs asked for, at most 100000 a request"):
        enqueue(rig.shift, request(*orders))
    assert nothing_written(rig)
