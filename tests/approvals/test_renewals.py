"""Renewals through the whole flow: found, asked, agreed, done by real programs on real TLS servers, believed only when seen."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.certificates import JOB
from tasks.certificates.renewal.remedy import Renewal
from tasks.providers.process import LocalCommands
from tasks.providers.tls import OpenSslTls
from tasks.testing import FakeSecrets, FakeStacks
from tests.approvals.ward import PROD, Ward, person, rule
from tests.support.shift import open_rig
from tests.support.tls_farm import FRESH, NEARLY_EXPIRED, NOW
from tests.tasks.renewals import NAME, Shop
from worker.flow import Outcome
from worker.flow.shift import Providers
from worker.ledger import effects, keepings
from worker.ledger.schema import migrate
from worker.policy import Policy
from worker.records import Approval, ApprovalState, Effect, EffectOutcome, Run, RunState, Verdict
from worker.records import FindingState as State

RENEWED = (NOW - timedelta(minutes=5), NOW + timedelta(days=90))
QUICK = replace(JOB, remedy=Renewal(pause=timedelta(seconds=0.05)))
CANARY = 'canary-"9b1d"-é/äß'


@dataclass
class Street(Ward):
    """One shop behind TLS servers, watched in an environment of mode `execute`."""

    shop: Shop

    def open(self, renew: str, reload: str | None = "all", **keys: Any) -> None:
        """How the shop is renewed, from now on."""
        entry = self.shop.entry(renew, reload, environment=PROD, **{"verify_timeout_seconds": 0.2} | keys)
        self.change(tables={"certificates": {"shop": entry}})

    def ask(self) -> Approval:
        self.rig.look("certificates")
        (approval,) = self.pending()
        return approval

    def ended(self) -> tuple[Outcome, Run]:
        outcome = self.mend()
        assert outcome is not None
        return outcome, self.rig.run(outcome.run_id)

    def effects(self, run: Run) -> list[Effect]:
        with self.rig.ledger.read() as connection:
            return effects.of_run(connection, run.id)

    def kept(self, run: Run) -> Sequence[bytes]:
        """Everything that the run left behind, decrypted."""
        with self.rig.ledger.read() as connection:
            stored = [keepings.artifact(connection, sha256) for _, sha256, _, _ in keepings.artifacts_of(connection, run.id)]
        keys = self.rig.shift.keys
        return [keys.decrypt(one.content.decode()) if one.key_id else one.content for one in stored if one]


@pytest.fixture
def street(ledger_url: str, tmp_path: Path) -> Iterator[Street]:
    with open_rig(ledger_url, tmp_path, QUICK) as rig, ExitStack() as servers:
        migrate(rig.ledger)
        rig.clock.now = datetime.now(UTC)
        commands = LocalCommands(grace=timedelta(seconds=0.2))
        tls, secrets = OpenSslTls(), FakeSecrets({"env:DNS_TOKEN": CANARY})
        rig.shift = replace(
            rig.shift, providers=Providers(tls=tls, commands=commands, stacks=FakeStacks(), secrets=secrets, others={})
        )
        rules = (rule(name="renewals", jobs=["certificates"], actions=["renew", "reload"]),)
        members: dict[str, Any] = {
            "modes": {PROD: "execute"},
            "policy": Policy(rules=rules),
            "people": (person("ana"), person("bo")),
        }
        rig.estate.append(replace(rig.estate[-1], **members))
        folder = tmp_path / "shop"
        folder.mkdir()
        shop = Shop(folder, servers)
        shop.serve(FRESH, NEARLY_EXPIRED)
        shop.issue(folder / "new.pem", RENEWED)
        yield Street(rig, folder, shop)


def test_a_renewal_is_found_asked_agreed_done_and_verified(street: Street) -> None:
    street.open("cp new.pem live.pem")
    approval = street.ask()
    assert (approval.subject, approval.cause, approval.risk) == (f"{NAME}:443", "renewal_due", "medium")
    street.say(approval)
    outcome = street.carry_out()
    assert outcome is not None
    assert (outcome.state, outcome.verdict) == (RunState.SUCCEEDED, Verdict.VERIFIED)
    assert all(address in outcome.summary for address in street.shop.addresses)
    assert street.approval(approval.id).state is ApprovalState.CARRIED_OUT
    street.rig.look("certificates")
    assert [row.state for row in street.rig.findings()] == [State.RESOLVED]


def test_a_reload_that_was_forgotten_is_all_that_is_asked_for(street: Street) -> None:
    street.shop.issue(street.shop.live, RENEWED)
    street.open("exit 9")
    outcome, run = street.ended()
    assert outcome.verdict is Verdict.VERIFIED
    assert run.state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("renew", "reload", "keys", "reason", "told"),
    [
        ("echo no such zone >&2; exit 3", "all", {}, "step_failed", "ended with exit code 3"),
        ("exec sleep 60", "all", {"renew_timeout_seconds": 0.3}, "step_failed", "did not end within 0.3 s"),
        ("yes", "all", {"renew_output_limit_kb": 1}, "step_failed", "printed more than 1 KiB"),
        ("cp new.pem live.pem", "exit 1", {}, "step_failed", "reload of"),
        ("exit 0", "true", {}, "unchanged", "is as it was: the same certificate"),
        ("cp new.pem live.pem", "first", {}, "unchanged", "is as it was: the same certificate"),
        ("cp served-1.pem live.pem", "all", {}, "worse", "is worse than before: another certificate"),
    ],
)
def test_a_renewal_that_goes_wrong_calls_a_person_and_says_what_was_seen(
    street: Street, renew: str, reload: str, keys: dict[str, Any], reason: str, told: str
) -> None:
    street.open(renew, reload, **keys)
    outcome, run = street.ended()
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, reason)
    assert told in run.summary
    assert street.shop.addresses[1] in run.summary


def test_a_world_that_moved_since_the_yes_is_refused_and_asked_for_again(street: Street) -> None:
    street.open("touch ran", reload=None)
    approval = street.ask()
    street.say(approval)
    street.shop.issue(street.shop.served[0], RENEWED)
    outcome = street.carry_out()
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "world_moved")
    assert street.shop.addresses[0] in outcome.summary
    assert not (street.folder / "ran").exists()
    (again,) = street.pending()
    assert again.supersedes == approval.id


def test_what_was_renewed_by_somebody_else_meanwhile_is_not_renewed_again(street: Street) -> None:
    street.open("touch ran")
    street.say(street.ask())
    street.shop.issue(street.shop.served[1], RENEWED)
    outcome = street.carry_out()
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.SKIPPED, "nothing_to_do")
    assert not (street.folder / "ran").exists()


def test_another_command_in_the_estate_is_another_change_set(street: Street) -> None:
    street.open("touch ran")
    street.say(street.ask())
    street.open("touch ran; touch more")
    outcome = street.carry_out()
    assert outcome is not None
    assert outcome.reason == "world_moved"
    assert not (street.folder / "ran").exists()


def test_a_secret_that_the_command_prints_is_nowhere_in_what_the_run_leaves(street: Street) -> None:
    street.open('echo "$TOKEN"; echo "$TOKEN" >&2; exit 1', renew_env={"TOKEN": "env:DNS_TOKEN"})
    outcome, run = street.ended()
    assert outcome.reason == "step_failed"
    assert CANARY not in run.summary
    left = street.kept(run)
    assert len(left) == 2
    assert all(CANARY.encode() not in content and b"***" in content for content in left)


def test_an_interrupted_renewal_goes_on_with_the_reload_when_its_file_says_that_it_happened(street: Street) -> None:
    """The worker's keeper of the program is killed when the file is written: nobody saw how it ended."""
    street.open("cp new.pem live.pem; kill -9 $PPID; sleep 5")
    outcome, run = street.ended()
    assert outcome.verdict is Verdict.VERIFIED
    assert [effect.outcome for effect in street.effects(run)] == [EffectOutcome.APPLIED] * 2


def test_an_interrupted_renewal_without_a_file_to_ask_calls_a_person(street: Street) -> None:
    street.open("cp new.pem live.pem; kill -9 $PPID; sleep 5", certificate_file=None)
    outcome, _ = street.ended()
    assert (outcome.state, outcome.reason) == (RunState.NEEDS_ATTENTION, "outcome_unknown")
