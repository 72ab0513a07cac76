"""Drift of a real n8n is asked about, mended by a yes, looked at again, and taken back; and nothing else is overwritten."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from tasks.canvas import JOB, CanvasEntry
from tasks.canvas.remedy import Mending
from tasks.model import VerificationVerdict
from tasks.testing import FakeApplyContext, FakeContext, FakeSecrets
from tests.approvals.ward import PROD, Ward, person, rule
from tests.n8n.bench import Bench, node_of
from tests.servers import N8nServer
from tests.support.shift import ANA, open_rig
from worker.flow import Outcome
from worker.flow.errors import Refused
from worker.flow.liveness import ourselves
from worker.flow.lost import take_over
from worker.flow.undoing import undo
from worker.ledger import effects, leases
from worker.ledger.tables import RUNS
from worker.policy import Policy
from worker.records import Approval, ApprovalState, Risk, Run, RunState, Verdict
from worker.seal import unseal

SLUG = "example_run_job"
SUBJECT = f"{SLUG} on n8n"
READS = ("workflow:list", "workflow:read", "credential:list", "tag:list")
WRITES = (*READS, "workflow:create", "workflow:update", "workflow:delete", "workflow:activate", "workflow:deactivate",
          "workflowTags:update", "tag:create", "tag:delete")  # fmt: skip
RULE = rule(name="canvas", jobs=["canvas"], actions=["push", "put_back", "adopt", "drop_branch"])
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Yard(Ward):
    """A bench whose drift the job `canvas` finds; `folder` is its checkout."""

    bench: Bench

    def look(self) -> Outcome:
        """The check, which carried nothing out itself."""
        (outcome,) = self.rig.look("canvas")
        assert outcome is not None
        return outcome

    def draw(self, text: str = "drawn by hand", slug: str = SLUG) -> None:
        """An edit of the draft, saved on the canvas."""
        self.bench.save_in_editor(
            slug, lambda raw: node_of(raw, "Start run")["parameters"].update(url=f"http://127.0.0.1:1/{text}")
        )

    def url(self, *, live: bool = False) -> str:
        raw = self.bench.raw(SLUG)
        return str(node_of(raw["activeVersion"] if live else raw, "Start run")["parameters"]["url"])

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=Tess", "-c", "user.email=tess@example.test"]
        return subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/n8n").split()

    def file(self) -> Path:
        return self.folder / f"{SLUG}.json"

    def step(self, approval: Approval) -> dict[str, Any]:
        [step] = json.loads(self.plan(approval.digest).content.partition(b"\n")[2])["steps"]
        return dict(step)

    def back(self, run: Run) -> Outcome:
        """Taken back, after another yes."""
        self.say(undo(self.rig.shift, run.id, ANA, "a mistake"))
        return done(self.carry_out())


def done(outcome: Outcome | None) -> Outcome:
    assert outcome is not None
    return outcome


@contextmanager
def open_yard(ledger_url: str, tmp_path: Path, bench: Bench, keys: FakeSecrets, **members: Any) -> Iterator[Yard]:
    bench.push()
    (bench.folder / ".gitignore").write_text(".n8n-base.json\n")
    (bench.folder / ".n8n-base.json").unlink()
    with open_rig(ledger_url, tmp_path, JOB, tables={}, secrets=keys) as rig:
        yard = Yard(rig, bench.folder, bench)
        yard.git("init", "--quiet", "--initial-branch=main")
        yard.git("add", ".")
        yard.git("commit", "--quiet", "--message=first")
        table = {"canvas": {"n8n": entry(bench, **members)}}
        people = (person("ana"), person("bo"), person("cy"))
        yard.change(tables=table, modes={PROD: "execute"}, policy=Policy(rules=(RULE,)), people=people)
        yield yard


def entry(bench: Bench, **members: Any) -> CanvasEntry:
    keys = {"api_key": "env:READ", "write_api_key": "env:WRITE", "mend": "push", **members}
    return CanvasEntry(name="n8n", url=bench.n8n.url, folder=bench.folder, environment=PROD, **keys)


@pytest.fixture(scope="module")
def keys(_n8n: N8nServer) -> FakeSecrets:
    """One that reads and one that writes; n8n takes a label once."""
    if not _n8n.running:
        _n8n.start()
    made = {"env:READ": _n8n.new_api_key("canvas reads", *READS), "env:WRITE": _n8n.new_api_key("canvas writes", *WRITES)}
    return FakeSecrets(made)


@pytest.fixture
def yard(ledger_url: str, tmp_path: Path, bench: Bench, keys: FakeSecrets) -> Iterator[Yard]:
    """Over both databases; drift is pushed over."""
    with open_yard(ledger_url, tmp_path, bench, keys) as opened:
        yield opened


@pytest.fixture
def here(tmp_path: Path, bench: Bench, keys: FakeSecrets, _sqlite_copy: str) -> Iterator[Yard]:
    """On SQLite alone, where the database is not the point."""
    with open_yard(_sqlite_copy, tmp_path, bench, keys) as opened:
        yield opened


@pytest.fixture
def adopter(tmp_path: Path, bench: Bench, keys: FakeSecrets, _sqlite_copy: str) -> Iterator[Yard]:
    """Drift is adopted."""
    with open_yard(_sqlite_copy, tmp_path, bench, keys, mend="adopt", write_api_key=None) as opened:
        yield opened


def test_an_edit_is_pushed_over_by_a_yes_seen_to_be_gone_and_brought_back_by_another(yard: Yard) -> None:
    filed = yard.url()
    assert yard.look().verdict is Verdict.OK
    yard.draw()
    before = yard.bench.held()
    approval = yard.ask()
    assert (approval.subject, approval.cause) == (SUBJECT, "drift")
    shown = yard.plan(approval.digest)
    assert shown.summary == f"push {SLUG} to n8n n8n"
    assert yard.bench.held() == before, "asking writes nothing"
    yard.say(approval)
    outcome = done(yard.carry_out())
    assert (outcome.state, outcome.verdict) == (RunState.SUCCEEDED, Verdict.VERIFIED)
    assert (yard.url(), yard.url(live=True)) == (filed, filed)
    assert yard.look().verdict is Verdict.OK
    [run] = yard.effect_runs()
    assert yard.approval(approval.id).state is ApprovalState.CARRIED_OUT
    assert yard.back(run).verdict is Verdict.VERIFIED
    assert (yard.url(), yard.url(live=True)) == ("http://127.0.0.1:1/drawn by hand", filed), "the draft is back, and a draft only"
    assert {**yard.bench.held(), "tags": before["tags"]} == before


def test_an_edit_between_the_yes_and_the_run_is_kept_and_asked_about_anew(yard: Yard) -> None:
    yard.draw()
    approval = yard.say(yard.ask())
    yard.draw("drawn since")
    outcome = done(yard.carry_out())
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "world_moved")
    assert yard.url().endswith("drawn since")
    assert yard.approval(approval.id).state is ApprovalState.SUPERSEDED
    [anew] = yard.pending()
    assert anew.digest != approval.digest
    yard.say(anew)
    assert done(yard.carry_out()).verdict is Verdict.VERIFIED


def test_a_file_changed_between_the_yes_and_the_run_is_asked_about_anew(here: Yard) -> None:
    here.draw()
    here.say(here.ask())
    here.file().write_text(here.file().read_text().replace("/v1/runs", "/v1/others"))
    assert done(here.carry_out()).reason == "world_moved"
    assert len(here.pending()) == 1


def test_drift_that_goes_by_itself_after_the_yes_leaves_nothing_to_do(here: Yard) -> None:
    here.draw()
    approval = here.say(here.ask())
    here.bench.push("--force")
    before = here.bench.held()
    assert done(here.carry_out()).reason == "nothing_to_do"
    assert here.approval(approval.id).state is ApprovalState.SUPERSEDED
    assert here.bench.held() == before


def test_a_workflow_that_is_missing_is_made_and_archived_again(here: Yard) -> None:
    slug = "example_nightly_tls"
    here.bench.n8n.api("DELETE", f"/workflows/{here.bench.raw(slug)['id']}")
    assert done(here.mend()).verdict is Verdict.VERIFIED
    assert here.bench.raw(slug)["activeVersionId"]
    [run] = here.effect_runs()
    assert here.back(run).verdict is Verdict.VERIFIED
    assert here.bench.raw(slug)["isArchived"]


def test_what_somebody_unpublished_is_published_and_taken_back(here: Yard) -> None:
    slug = "example_nightly_tls"
    here.bench.n8n.api("POST", f"/workflows/{here.bench.raw(slug)['id']}/deactivate")
    assert done(here.mend()).verdict is Verdict.VERIFIED
    assert here.bench.raw(slug)["activeVersionId"]
    [run] = here.effect_runs()
    assert here.back(run).verdict is Verdict.VERIFIED
    assert here.bench.raw(slug)["activeVersionId"] is None


def test_an_edit_since_the_push_is_not_overwritten_by_taking_it_back(here: Yard) -> None:
    here.draw()
    here.mend()
    [run] = here.effect_runs()
    here.draw("drawn since")
    assert here.back(run).reason == "precondition_failed"
    assert here.url().endswith("drawn since")


def fell_silent(yard: Yard, run: Run, step: str) -> Run:
    """Its worker died after the intent."""
    with yard.rig.ledger.transaction() as tx:
        held = leases.claim(tx, run.id, job=run.job, owner="dead", worker="w9", lease_seconds=30)
        assert held is not None
        assert effects.intend(tx, held, step, at=yard.rig.clock(), process={**ourselves(), "pid": 2**22 + 1})
        tx.execute(update(RUNS).where(RUNS.c.id == run.id).values(lease_until=LONG_AGO, attempts=1))
    return yard.rig.run(run.id)


def approved(yard: Yard) -> tuple[Run, Any]:
    approval = yard.say(yard.ask())
    [run] = [run for run in yard.effect_runs() if not run.state.terminal]
    return run, approval


def do_it(yard: Yard, approval: Approval) -> None:
    """What the dead worker had done."""
    here = yard.rig.estate[-1].tables["canvas"]["n8n"]
    ctx = FakeApplyContext(job="canvas", selected=[here], secrets=yard.rig.shift.providers.secrets)
    Mending().apply(ctx, unseal(yard.plan(approval.digest).content).plan.steps[0])


@pytest.mark.parametrize("what", ["happened", "did not happen"])
@pytest.mark.parametrize("mend", ["push", "adopt"])
def test_after_a_death_in_mid_step_the_probe_tells_and_nothing_is_done_twice(mend: str, what: str, here: Yard) -> None:
    here.change(tables={"canvas": {"n8n": entry(here.bench, mend=mend)}})
    here.draw()
    run, approval = approved(here)
    happened = what == "happened"
    if happened:
        do_it(here, approval)
    was = here.bench.raw(SLUG)["versionId"], here.branches()
    assert take_over(here.rig.shift, fell_silent(here, run, mend)) is RunState.QUEUED
    assert done(here.rig.execute(here.rig.run(run.id))).verdict is Verdict.VERIFIED
    told = [row.verb for row in reversed(here.audit("effect.")) if row.object_id == run.id]
    assert told == (["effect.applied"] if happened else ["effect.did_not", "effect.intended", "effect.applied"])
    assert not happened or (here.bench.raw(SLUG)["versionId"], here.branches()) == was, "nothing was done twice"


def test_a_push_cut_off_half_way_is_a_persons(here: Yard) -> None:
    here.draw()
    run, _ = approved(here)
    here.draw("neither the one nor the other")
    assert take_over(here.rig.shift, fell_silent(here, run, "push")) is RunState.QUEUED
    assert done(here.rig.execute(here.rig.run(run.id))).reason == "outcome_unknown"


def test_an_edit_is_adopted_as_a_branch_by_its_author_and_dropped_again(adopter: Yard) -> None:
    head, before = adopter.git("rev-parse", "HEAD"), adopter.bench.held()
    adopter.draw()
    held = adopter.bench.held()
    assert done(adopter.mend()).verdict is Verdict.VERIFIED
    [branch] = adopter.branches()
    assert adopter.git("log", "-1", "--format=%an/%cn/%P", branch) == f"Olga Owner/Nightshift/{head}"
    assert "drawn by hand" in adopter.git("show", f"{branch}:{SLUG}.json")
    assert (adopter.git("rev-parse", "HEAD"), adopter.git("status", "--porcelain")) == (head, "")
    assert (adopter.bench.held(), held != before) == (held, True), "n8n is left alone"
    adopter.look()
    assert adopter.pending() == [], "it waits to be merged, and is not asked again"
    [run] = adopter.effect_runs()
    assert adopter.back(run).verdict is Verdict.VERIFIED
    assert adopter.branches() == []


def test_a_merged_adoption_ends_the_finding_and_is_not_dropped(adopter: Yard) -> None:
    adopter.draw()
    adopter.mend()
    [run] = adopter.effect_runs()
    [branch] = adopter.branches()
    adopter.git("merge", "--quiet", branch)
    adopter.look()
    assert adopter.pending() == [], "what production runs is older than git, and not adopted in its place"
    adopter.bench.n8n.api("POST", f"/workflows/{adopter.bench.raw(SLUG)['id']}/activate", {})
    assert adopter.look().verdict is Verdict.OK
    back = adopter.back(run)
    assert (back.state, back.reason) == (RunState.NEEDS_ATTENTION, "step_failed")
    assert adopter.branches() == [branch]


def test_what_is_in_n8n_only_is_adopted_as_a_new_file_and_never_pushed_away(adopter: Yard) -> None:
    made = adopter.bench.n8n.api("POST", "/workflows", {"name": "Example / Mine", "nodes": [], "connections": {}, "settings": {}})
    tags = {tag["name"]: tag["id"] for tag in adopter.bench.n8n.api("GET", "/tags")["data"]}
    adopter.bench.n8n.api("PUT", f"/workflows/{made['id']}/tags", [{"id": tags["nightshift"]}])
    adopter.change(tables={"canvas": {"n8n": entry(adopter.bench, tag="nightshift")}})
    adopter.look()
    assert adopter.pending() == []
    adopter.change(tables={"canvas": {"n8n": entry(adopter.bench, tag="nightshift", mend="adopt")}})
    assert done(adopter.mend()).verdict is Verdict.VERIFIED
    [branch] = adopter.branches()
    assert "Example / Mine" in adopter.git("show", f"{branch}:example_mine.json")


def test_a_change_in_git_between_the_yes_and_the_run_is_asked_about_anew(adopter: Yard) -> None:
    adopter.draw()
    adopter.say(adopter.ask())
    adopter.file().write_text(adopter.file().read_text().replace("/v1/runs", "/v1/others"))
    adopter.git("commit", "--quiet", "--all", "--message=ours")
    assert done(adopter.carry_out()).reason == "world_moved"
    assert adopter.branches() == []


def test_a_commit_that_leaves_the_file_alone_moves_nothing(adopter: Yard) -> None:
    adopter.draw()
    adopter.say(adopter.ask())
    adopter.git("commit", "--quiet", "--allow-empty", "--message=elsewhere")
    assert done(adopter.carry_out()).verdict is Verdict.VERIFIED


def test_the_other_side_is_asked_for_in_the_place_of_the_first_once_the_operator_says_so(here: Yard) -> None:
    here.draw()
    first = here.ask()
    here.change(tables={"canvas": {"n8n": entry(here.bench, mend="adopt")}})
    second = here.ask()
    assert (here.step(first)["action"], here.step(second)["action"]) == ("push", "adopt")
    assert here.approval(first.id).state is ApprovalState.SUPERSEDED


def test_without_mend_or_a_rule_drift_is_told_and_nothing_asked(here: Yard) -> None:
    here.draw()
    here.change(policy=Policy(rules=(rule(name="canvas", jobs=["canvas"], actions=["adopt"]),)))
    here.look()
    here.change(policy=Policy(rules=(RULE,)), tables={"canvas": {"n8n": entry(here.bench, mend=None)}})
    assert here.look().verdict is Verdict.FINDINGS
    assert here.pending() == []


def test_a_secret_typed_on_the_canvas_is_not_committed(adopter: Yard) -> None:
    adopter.draw("?key=ghp_" + "a1" * 18)
    assert adopter.look().verdict is Verdict.FINDINGS
    assert (adopter.pending(), adopter.branches()) == ([], [])


def test_a_secret_typed_on_the_canvas_is_pushed_away_and_not_kept_by_us(here: Yard) -> None:
    secret = "ghp_" + "a1" * 18
    here.draw(f"?key={secret}")
    approval = here.ask()
    plan = here.plan(approval.digest)
    assert secret not in plan.content.decode()
    assert approval.risk is Risk.HIGH
    here.say(approval)
    assert done(here.carry_out()).verdict is Verdict.VERIFIED
    [run] = here.effect_runs()
    with pytest.raises(Refused, match="cannot be undone"):
        here.back(run)


def test_a_key_that_may_not_write_fails_the_step_and_changes_nothing(here: Yard) -> None:
    here.draw()
    before = here.bench.held()
    secrets = here.rig.shift.providers.secrets
    here.say(here.ask())
    here.rig.shift = replace(here.rig.shift, providers=replace(here.rig.shift.providers, secrets=only_reads(secrets)))
    outcome = done(here.carry_out())
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "step_failed")
    assert "may not do PUT" in outcome.summary
    assert here.bench.held() == before


def only_reads(secrets: Any) -> FakeSecrets:
    return FakeSecrets({"env:READ": secrets("env:READ"), "env:WRITE": secrets("env:READ")})


def test_the_key_that_writes_is_a_key_of_its_own(bench: Bench) -> None:
    with pytest.raises(ValidationError, match="needs `write_api_key`"):
        entry(bench, write_api_key=None)
    with pytest.raises(ValidationError, match="another key than"):
        entry(bench, write_api_key="env:READ")


def test_looking_again_at_what_n8n_does_not_answer_tells_nothing(here: Yard) -> None:
    here.draw()
    approval = here.ask()
    away = entry(here.bench).model_copy(update={"url": "http://127.0.0.1:9"})
    ctx = FakeContext(job="canvas", selected=[away], secrets=here.rig.shift.providers.secrets)
    seen = Mending().verify(ctx, unseal(here.plan(approval.digest).content).plan, [])
    assert seen.verdict is VerificationVerdict.CANNOT_TELL
