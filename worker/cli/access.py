"""`token …`, `login`, `people …`, `keys …`: who may come in, and with what."""

from typing import Annotated

import typer

from worker.cli.printing import Json

token = typer.Typer(help="API tokens.", no_args_is_help=True)
people = typer.Typer(help="People of the configuration.", no_args_is_help=True)
keys = typer.Typer(help="The instance keys.", no_args_is_help=True)


@token.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="What the audit shows.")],
    *,
    role: Annotated[str | None, typer.Option(help="viewer, operator, admin or n8n: a set of grants.")] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(metavar="VERB[:JOBS[:ENVIRONMENTS[:ad_hoc]]]", help="One grant: run:certificates,command:prod."),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Until it expires; the setting `token_days` if left out.")] = None,
    replaces: Annotated[str | None, typer.Option(help="Id of the token that it takes over from: idempotency keys go on.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown once."""
    from worker.cli.admission import create_token

    create_token(name, role, grant or [], days, replaces, as_json=as_json)


@token.command("list")
def list_tokens(*, as_json: Json = False) -> None:
    """The tokens there are; never their text."""
    from worker.cli.admission import list_tokens

    list_tokens(as_json=as_json)


@token.command("revoke")
def revoke_token(token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, or the end of it.")]) -> None:
    """Dead from the next request on."""
    from worker.cli.admission import revoke_token

    revoke_token(token_id)


def login(
    person: Annotated[str | None, typer.Argument(help="Name of people.toml; the operator of this machine if left out.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a one-time link that signs a person in to the console."""
    from worker.cli.admission import login

    login(person, as_json=as_json)


@people.command("pin")
def pin(name: Annotated[str, typer.Argument(help="Whose PIN it is, for the line that is printed.")]) -> None:
    """Ask for a PIN, and print the line for people.toml."""
    from worker.cli.printing import say
    from worker.cli.refusals import Refusal
    from worker.tokens import hash_pin

    chosen = typer.prompt(f"PIN of {name}", hide_input=True, confirmation_prompt=True, err=True)
    try:
        line = f'pin_hash = "{hash_pin(chosen)}"'
    except ValueError as error:
        raise Refusal(str(error)) from None
    say(line)


@people.command("list")
def list_people(*, as_json: Json = False) -> None:
    """The people of the configuration in force."""
    from worker.cli.admission import list_people

    list_people(as_json=as_json)


@keys.command("list")
def list_keys(*, as_json: Json = False) -> None:
    """Ids of the instance keys, the current one first."""
    from worker.cli.admission import instance_keys
    from worker.cli.printing import say, show_json

    ids = instance_keys().ids()
    if as_json:
        show_json({"current": ids[0], "older": ids[1:]})
    else:
        say("\n".join([f"{ids[0]}  current", *(f"{key_id}  for reading" for key_id in ids[1:])]))


@keys.command("rotate")
def rotate_keys() -> None:
    """Make a new current key. The old ones stay, to read what they made."""
    from worker.cli.admission import instance_keys
    from worker.cli.printing import say

    say(f"{instance_keys().rotate()} is the current key from now on, in running processes too")


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(token, name="token")
    app.command()(login)
    app.add_typer(people, name="people")
    app.add_typer(keys, name="keys")
