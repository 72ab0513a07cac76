"""Tokens of people: they say who it is, and nothing about what that person may."""

from datetime import timedelta
from typing import Any

import pytest

from tests.approvals.ward import Ward
from worker.flow.api_tokens import create_token, person_of, revoke_token
from worker.flow.errors import Forbidden, Invalid, NotFound
from worker.records import Actor, ActorKind
from worker.tokens import Grant

ROOT = Actor(ActorKind.CLI, "root")
ASK = (Grant(verb="ask"),)


def made(ward: Ward, name: str = "bo", kind: ActorKind = ActorKind.PERSON, **members: Any) -> tuple[str, str]:
    """Its id and its text."""
    given = {"grants": () if kind is ActorKind.PERSON else ASK, "lifetime": timedelta(days=1), **members}
    token = create_token(ward.rig.shift, name, given.pop("grants"), ROOT, kind=kind, **given)
    return token.row.id, token.text


def refusal(ward: Ward, text: str) -> str:
    with pytest.raises(Forbidden) as caught:
        person_of(ward.rig.shift, text)
    assert text not in str(caught.value)
    return caught.value.code


def test_a_persons_token_says_who_it_is(ward_here: Ward) -> None:
    assert person_of(ward_here.rig.shift, made(ward_here)[1]) == "bo"


def test_a_token_that_is_unknown_revoked_or_expired_is_nobodys(ward_here: Ward) -> None:
    token_id, text = made(ward_here)
    assert refusal(ward_here, "nst_made-up-by-somebody") == "token_unknown"
    assert refusal(ward_here, text + "x") == "token_unknown"
    revoke_token(ward_here.rig.shift, token_id, ROOT)
    assert refusal(ward_here, text) == "token_revoked"
    _, short = made(ward_here, lifetime=timedelta(minutes=1))
    ward_here.rig.clock.advance(timedelta(minutes=1))
    assert refusal(ward_here, short) == "token_expired"


@pytest.mark.parametrize("kind", [ActorKind.TOKEN, ActorKind.N8N])
def test_the_token_of_a_machine_is_nobodys_even_under_a_persons_name(ward_here: Ward, kind: ActorKind) -> None:
    assert refusal(ward_here, made(ward_here, "bo", kind)[1]) == "not_a_person"


def test_a_token_is_made_only_for_people_there_are_and_with_no_rights_of_its_own(ward_here: Ward) -> None:
    with pytest.raises(NotFound, match="nobody is called 'eve'"):
        made(ward_here, "eve")
    with pytest.raises(Invalid, match=r"no grants of its own: people\.toml says"):
        made(ward_here, grants=ASK)
