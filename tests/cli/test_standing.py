"""What the doctor says when a policy is in force under which nothing could ever happen."""

from tests.cli.conftest import Cli
from worker.tokens import hash_pin

PLACES = '[environments.production]\nmode = "execute"\n[environments.lab]\nmode = "propose"\n[environments.attic]\n'
RULE = """\
[[rule]]
name = "restarts"
jobs = ["command"]
actions = ["restart"]
environments = ["production", "lab"]
approvers = 2
"""


def person(name: str, *, pin: bool = False) -> str:
    line = f'pin_hash = "{hash_pin("482915")}"\n' if pin else ""
    return f'[[person]]\nname = "{name}"\nroles = {{ production = ["operator"] }}\n{line}'


def told(cli: Cli, **files: str) -> list[tuple[str, str]]:
    for name, text in files.items():
        (cli.home / f"{name}.toml").write_text(text)
    cli("config", "apply")
    return [
        (check["found"], check["advice"]) for check in cli.json("doctor") if check["name"] == "policy" and check["state"] != "ok"
    ]


def test_the_doctor_names_places_without_a_rule_rules_without_deciders_and_windows_that_hold(ledger_cli: Cli) -> None:
    estate = (ledger_cli.home / "estate.toml").read_text() + PLACES
    unruled = told(ledger_cli, estate=estate)
    assert [found.partition(" is ")[0] for found, _ in unruled] == ["environment production", "environment lab"]
    lacking, pinless = told(ledger_cli, policy=RULE, people=person("ana", pin=True) + person("ben"))
    assert lacking == (
        "rule restarts can never be decided in production: 2 must agree, with a PIN only ana",
        "`nightshift people pin ben --write`",
    )
    assert pinless == ("ben may decide in production and has no PIN", "`nightshift people pin ben --write`")
    always = (
        '[[freeze]]\nname = "always"\ndays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]\nenvironments = ["production"]\n'
    )
    (window,) = told(ledger_cli, policy=RULE + always, people=person("ana", pin=True) + person("ben", pin=True))
    assert window[0] == "freeze always of policy.toml holds for production"
    assert told(ledger_cli, policy=RULE) == []
