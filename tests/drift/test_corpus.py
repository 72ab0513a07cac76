"""The labelled corpus against the real CLI, the provider and the classifier: recall and precision of each class.

Two thirds of it are the same at every run; a third comes from a seed that is drawn anew and printed.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import pytest

from tests.drift.observing import Observed, observe
from tests.lab.cases import Expected
from tests.lab.corpus import SIZE, Key, Plot, Trouble, build, plots, scores, table
from tests.lab.lab import Lab
from tests.servers.pulumi_install import Programs

SEED = int(os.environ.get("CORPUS_SEED") or SystemRandom().getrandbits(32))
FIXED, FRESH = 16, 8
AT_ONCE = 2
# In these nothing can be told of the whole stack, and nothing may be told.
SILENT = {
    Trouble.WRONG_ACCOUNT: "breaker",
    Trouble.REJECTED: "credentials_expired",
}
# In these some resources are not read: each is told rightly or not at all.
PATCHY = {Trouble.EXPIRES, Trouble.REFUSED, Trouble.DIES}
IN_THE_CLOUD = {Expected.DRIFT, Expected.CONFLICT, Expected.ADOPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    plot: Plot
    labels: Mapping[Key, Expected]
    observed: Observed


@pytest.fixture(scope="module")
def outcomes(pulumi: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Outcome]]:
    lab = Lab(tmp_path_factory.mktemp("corpus"), pulumi)
    written = [*plots(1, prefix="fixed", count=FIXED), *plots(SEED, prefix="fresh", count=FRESH)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield list(pool.map(lambda plot: outcome(lab, plot), written))


def outcome(lab: Lab, plot: Plot) -> Outcome:
    stack = build(lab, plot, plot.name)
    scratch = Path(lab.folder / "scratches" / plot.name)
    scratch.mkdir(parents=True)
    before, state = lab.cloud.counts(plot.name).writes, lab.state_hash(stack)
    observed = observe(lab, stack, scratch)
    assert (lab.cloud.counts(plot.name).writes, lab.state_hash(stack)) == (before, state), "a look wrote"
    return Outcome(plot=plot, labels=plot.labels(), observed=observed)


def sound(outcomes: list[Outcome]) -> tuple[dict[Key, Expected], dict[Key, Expected]]:
    """Labels and what was told of them, over all stacks that can be read whole."""
    expected: dict[Key, Expected] = {}
    told: dict[Key, Expected] = {}
    for one in outcomes:
        if one.plot.trouble not in PATCHY | set(SILENT):
            expected |= one.labels
            told |= one.observed.told
    return expected, told


@pytest.mark.timeout(900)
def test_the_corpus_has_a_thousand_cases_over_all_classes(outcomes: list[Outcome]) -> None:
    cases = [case for one in outcomes for case in one.plot.cases.values()]
    assert len(cases) >= 1000
    assert min(len(one.plot.cases) for one in outcomes) >= SIZE
    assert {label for one in outcomes for label in one.labels.values()} == set(Expected)


@pytest.mark.timeout(900)
def test_every_readable_drift_is_found_and_none_is_invented(outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    expected, told = sound(outcomes)
    found = scores(expected, told)
    wrong = {key: (expected.get(key), told.get(key)) for key in {*expected, *told} if expected.get(key) != told.get(key)}
    with capsys.disabled():
        print(f"\ncorpus: {len(outcomes)} stacks, {sum(len(one.plot.cases) for one in outcomes)} cases, seed {SEED}")  # noqa: T201
        print(table(found))  # noqa: T201
        for (urn, path), (should, was) in sorted(wrong.items())[:40]:
            print(f"{urn} {path or '(whole)'}: {should} told as {was}")  # noqa: T201
    assert found[Expected.DRIFT].recall == found[Expected.DRIFT].precision == 1.0
    assert [key for key, (should, was) in wrong.items() if was in IN_THE_CLOUD and should not in IN_THE_CLOUD] == []


@pytest.mark.timeout(900)
def test_of_a_stack_whose_credentials_are_wrong_nothing_is_told(outcomes: list[Outcome]) -> None:
    silent = [one for one in outcomes if one.plot.trouble in SILENT]
    assert {one.plot.trouble for one in silent} == set(SILENT)
    assert [(one.observed.told, one.observed.reason) for one in silent] == [({}, SILENT[one.plot.trouble]) for one in silent]


@pytest.mark.timeout(900)
def test_a_look_that_is_cut_short_tells_rightly_or_not_at_all(outcomes: list[Outcome]) -> None:
    for one in (one for one in outcomes if one.plot.trouble in PATCHY):
        observed = one.observed
        assert observed.reason or observed.unread, f"{one.plot.trouble}: told as if all had been read"
        read = {key: label for key, label in observed.told.items() if key[0] not in observed.unread}
        wrong = {key: label for key, label in read.items() if one.labels.get(key) is not label}
        # What only one look could read is not settled yet.
        assert set(wrong.values()) <= {Expected.CANNOT_TELL, Expected.UNSETTLED}
        assert {label for key, label in observed.told.items() if key not in read} <= {Expected.CANNOT_TELL, Expected.BLIND}
        missed = {urn for (urn, path), label in one.labels.items() if label in IN_THE_CLOUD and (urn, path) not in observed.told}
        assert missed <= observed.unread or observed.reason
