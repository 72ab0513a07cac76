from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.testing import FakeClock
from worker.redaction import PROCESS
from worker.tokens import (
    Grant,
    Keys,
    Sessions,
    allows,
    grants_of_role,
    hash_pin,
    hash_token,
    new_api_token,
    new_link_token,
    verify_pin,
)
from worker.tokens.pins import is_pin_hash, refuse_guessable


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 21, 2, 14, tzinfo=UTC))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def sessions(keys: Keys, clock: FakeClock) -> Sessions:
    return Sessions(keys, timedelta(hours=12), clock)


def test_tokens_are_random_recognisable_and_known_to_the_redactor() -> None:
    token, link = new_api_token(), new_link_token()
    assert token.startswith("nst_")
    assert token != new_api_token()
    assert (len(token), len(link)) == (47, 43)
    assert PROCESS.redact(f"{token} {link}") == "*** ***"


def test_the_hash_of_a_token_is_its_sha256() -> None:
    assert hash_token("nst_x") == "8224abb90a50a42c3b3acdd5da1839d9cc2b6cf854c6199743c20a4406ed0fb5"


def test_nothing_is_allowed_without_a_grant() -> None:
    assert not allows((), "read")


def test_a_grant_for_some_jobs_and_environments_covers_those_alone() -> None:
    grants = (Grant(verb="run", jobs=("certificates",), environments=("production",)),)
    assert allows(grants, "run", "certificates", "production")
    assert not allows(grants, "run", "command", "production")
    assert not allows(grants, "run", "certificates", "staging")
    assert not allows(grants, "mute", "certificates", "production")


def test_a_question_about_everything_needs_a_grant_for_everything() -> None:
    assert not allows((Grant(verb="operate", environments=("production",)),), "operate")
    assert allows((Grant(verb="operate"),), "operate")


def test_an_ad_hoc_target_needs_a_grant_of_its_own() -> None:
    assert not allows((Grant(verb="run"),), "run", "certificates", "default", ad_hoc=True)
    assert allows((Grant(verb="run", ad_hoc=True),), "run", "certificates", "default", ad_hoc=True)
    assert allows((Grant(verb="run", ad_hoc=True),), "run", "certificates", "default")


def test_a_grant_with_an_unknown_verb_or_no_job_is_refused() -> None:
    with pytest.raises(ValidationError):
        Grant.model_validate({"verb": "fly"})
    with pytest.raises(ValidationError):
        Grant(verb="run", jobs=())


@pytest.mark.parametrize("verb", ["decide", "mute", "resolve", "operate", "admin"])
def test_n8n_never_decides_mutes_or_resolves(verb: str) -> None:
    assert verb not in {grant.verb for grant in grants_of_role("n8n")}


def test_a_viewer_reads_and_only_an_admin_may_run_ad_hoc_targets() -> None:
    assert [grant.verb for grant in grants_of_role("viewer")] == ["read"]
    assert not allows(grants_of_role("operator"), "run", "certificates", "default", ad_hoc=True)
    assert allows(grants_of_role("admin"), "run", "certificates", "default", ad_hoc=True)
    assert not allows(grants_of_role("operator"), "admin")


def test_a_session_reads_back_until_it_expires(sessions: Sessions, clock: FakeClock) -> None:
    session = sessions.open("Ana", grants_of_role("operator", environments=("production",)))
    cookie = sessions.cookie(session)
    assert sessions.read(cookie) == session
    clock.advance(timedelta(hours=12))
    assert sessions.read(cookie) is None


def test_a_cookie_survives_a_rotation_and_names_its_key(sessions: Sessions, keys: Keys) -> None:
    session = sessions.open("Ana", grants_of_role("viewer"))
    cookie = sessions.cookie(session)
    old = keys.current_id
    keys.rotate()
    assert cookie.startswith(f"{old}.")
    assert sessions.read(cookie) == session


def test_an_altered_foreign_or_nonsense_cookie_is_no_session(sessions: Sessions, clock: FakeClock, tmp_path: Path) -> None:
    cookie = sessions.cookie(sessions.open("Ana", ()))
    stranger = Sessions(Keys(tmp_path / "other"), timedelta(hours=1), clock)
    key_id, payload, signature = cookie.split(".", 2)
    for wrong in ("", "x", f"{key_id}.{payload}x.{signature}", f"{key_id}.{payload}", stranger.cookie(stranger.open("Ana", ()))):
        assert sessions.read(wrong) is None


def test_a_form_is_bound_to_its_session(sessions: Sessions) -> None:
    mine, other = sessions.open("Ana", ()), sessions.open("Ana", ())
    token = sessions.csrf_token(mine)
    assert sessions.csrf_matches(mine, token)
    assert not sessions.csrf_matches(other, token)
    assert not sessions.csrf_matches(mine, "")
    assert not sessions.csrf_matches(mine, f"{token}0")


def test_a_pin_is_verified_against_its_hash_and_nothing_else() -> None:
    hashed = hash_pin("493817")
    assert "493817" not in hashed
    assert is_pin_hash(hashed)
    assert verify_pin(hashed, "493817")
    assert not verify_pin(hashed, "493818")
    assert not verify_pin("broken", "493817")


def test_a_short_pin_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="at least 6 characters") as caught:
        hash_pin("1234")
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("pin", ["111111", "123456", "654321", "0123456789", "121212", "123123", "abcdef", "112112"])
def test_a_pin_that_is_tried_first_is_refused_when_a_person_chooses_it(pin: str) -> None:
    with pytest.raises(ValueError, match="choose one without a pattern") as caught:
        refuse_guessable(pin)
    assert pin not in str(caught.value)


@pytest.mark.parametrize("pin", ["482915", "135792", "112233", "aB3$xy"])
def test_a_pin_without_a_pattern_is_taken(pin: str) -> None:
    refuse_guessable(pin)
