"""`approvals`, `approval`, `approve`, `deny`, `revoke`, `dismiss`: what is asked, and what people say to it."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.printing import Json

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id, or the end of it that the list shows.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with your own token (`nightshift token create --person`); else NIGHTSHIFT_TOKEN.", dir_okay=False),
]
Digest = Annotated[
    str, typer.Option(help="The digest that you were shown, 12 characters or more: then nothing is asked but the PIN.")
]


def approvals(
    *,
    state: Annotated[
        list[str] | None, typer.Option(help="Only in this state, or `all`; pending and approved if left out.")
    ] = None,
    job: Annotated[str | None, typer.Option(help="Only of this job.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only there.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """The newest requests that people decide on."""
    from worker.cli.asked import list_approvals

    list_approvals(state or [], job, environment, limit, as_json=as_json)


def approval(approval_id: ApprovalId, *, as_json: Json = False) -> None:
    """One request: its plan, simulation, history, and what came of it."""
    from worker.cli.asked import show_approval

    show_approval(approval_id, as_json=as_json)


def approve(
    approval_id: ApprovalId,
    *,
    reason: Reason = "",
    token_file: TokenFile = None,
    digest: Digest = "",
    wait: Annotated[bool, typer.Option(help="Stay until the change is verified, or needs somebody.")] = False,
    as_json: Json = False,
) -> None:
    """Say yes to one plan, with your own token and PIN. With --wait, exits with 1 unless it was verified."""
    from worker.cli.deciding import approve

    raise typer.Exit(approve(approval_id, reason, token_file, digest, wait=wait, as_json=as_json))


def deny(
    approval_id: ApprovalId,
    reason: Reason,
    *,
    token_file: TokenFile = None,
    digest: Digest = "",
    as_json: Json = False,
) -> None:
    """Say no to one plan, with your own token and PIN. The same is not asked again for a while."""
    from worker.cli.deciding import deny

    deny(approval_id, reason, token_file, digest, as_json=as_json)


def revoke(approval_id: ApprovalId, reason: Reason, *, as_json: Json = False) -> None:
    """Take a request back, decided or not: what has not begun does not begin, what runs stops before its next step."""
    from worker.cli.deciding import revoke

    revoke(approval_id, reason, as_json=as_json)


def dismiss(approval_id: ApprovalId, reason: Reason, *, as_json: Json = False) -> None:
    """Put away what is only proposed (mode propose)."""
    from worker.cli.deciding import dismiss

    dismiss(approval_id, reason, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    for command in (approvals, approval, approve, deny, revoke, dismiss):
        app.command()(command)
