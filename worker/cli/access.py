"""`token …`, `login`, `keys …`: who may come in, and with what."""

from typing import Annotated

import typer

from worker.cli.printing import Json

token = typer.Typer(help="API tokens.", no_args_is_help=True)
keys = typer.Typer(help="The instance keys.", no_args_is_help=True)


@token.command("create")
def create_token(
    name: Annotated[str | None, typer.Argument(help="What the audit shows; a person's has the person's name.")] = None,
    *,
    person: Annotated[
        str | None, typer.Option(help="Whose own token it is: it may do what that person may, and decide with their PIN.")
    ] = None,
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
    from worker.cli.admission import create_persons_token, create_token

    if person is not None:
        if name is not None or role is not None or grant:
            raise typer.BadParameter("a person's token has the person's name and grants: leave out NAME, --role and --grant")
        create_persons_token(person, days, replaces, as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter("give a NAME for the audit, or --person")
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
    app.add_typer(keys, name="keys")
