"""`n8n …`: workflows as code. What talks to n8n does so with the operator's own key (`n8n_url`, `n8n_api_key`)."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.printing import Json

n8n = typer.Typer(help="n8n's workflows as code: files in git, and what n8n runs, kept the same.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of workflow files.")]
Nodes = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        show_default=False,
        help="Node types of your own n8n: `n8n export:nodes --output=FILE`; the setting `n8n_nodes` if left out.",
    ),
]
Tag = Annotated[str | None, typer.Option(help="Only workflows with this tag.", show_default=False)]


class Winner(StrEnum):
    """Whose change stays where both changed the same thing."""

    OURS = "ours"
    THEIRS = "theirs"


@n8n.command()
def fmt(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders: exports of the editor, CLI or API.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file would change.")] = False,
    nodes: Nodes = None,
) -> None:
    """Rewrite files in the one normal form, named by their workflow."""
    from worker.cli.n8n.offline import fmt

    fmt(paths, nodes, check=check)


@n8n.command()
def lint(
    folder: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of workflow files, or one file.")],
    *,
    nodes: Nodes = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Json = False,
) -> None:
    """Look for mistakes without asking n8n. Exit 0: no error; 1: errors; 2: could not look."""
    from worker.cli.n8n.offline import lint

    lint(folder, nodes, strict=strict, as_json=as_json)


@n8n.command()
def rules(*, as_json: Json = False) -> None:
    """The rules of `lint`: code, why, and how to mend."""
    from worker.cli.n8n.offline import rules

    rules(as_json=as_json)


@n8n.command()
def diff(
    left: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder.")],
    right: Annotated[Path | None, typer.Argument(metavar="[PATH]", help="What to compare it with; n8n if left out.")] = None,
    *,
    published: Annotated[bool, typer.Option("--published", help="With what production runs, instead of the draft.")] = False,
    nodes: Nodes = None,
    tag: Tag = None,
    as_json: Json = False,
) -> None:
    """What differs, told as a person would. Exit 0: nothing; 1: something; 2: could not look."""
    from worker.cli.n8n import comparing

    if right is not None:
        comparing.diff_files(left, right, nodes, as_json=as_json)
    else:
        comparing.diff_with_n8n(left, nodes, tag, published=published, as_json=as_json)


@n8n.command()
def check(folder: Folder, *, nodes: Nodes = None, tag: Tag = None, as_json: Json = False) -> None:
    """Does n8n hold and run what the files say? Draft and published, who, when, and what is missing. Exit as `diff`."""
    from worker.cli.n8n.comparing import check

    check(folder, nodes, tag, as_json=as_json)


@n8n.command()
def pull(
    folder: Folder,
    *,
    published: Annotated[bool, typer.Option("--published", help="What production runs, instead of the drafts.")] = False,
    winner: Annotated[
        Winner | None, typer.Option(help="Who wins where both sides changed the same thing; unset: refuse.")
    ] = None,
    nodes: Nodes = None,
    tag: Tag = None,
    as_json: Json = False,
) -> None:
    """From n8n to files. Edits on both sides are joined; if both touched the same thing, nothing is written."""
    from worker.cli.n8n.syncing import pull

    pull(folder, nodes, tag, winner.value if winner else None, published=published, as_json=as_json)


@n8n.command()
def push(
    folder: Folder,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after showing the plan.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and end.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite edits made in n8n; a copy is kept in DIR/.n8n-backup.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Archive in n8n what was pulled or pushed once and has no file now.")
    ] = False,
    nodes: Nodes = None,
    as_json: Json = False,
) -> None:
    """From files to n8n: all of them or none, published bottom-up, read again at the end."""
    from worker.cli.n8n.syncing import push

    push(folder, nodes, yes=yes, dry_run=dry_run, force=force, prune=prune, as_json=as_json)


@n8n.command()
def adopt(
    folder: Folder,
    *,
    branch: Annotated[str | None, typer.Option(help="Name of the branch to make.", show_default="n8n/canvas-DATE")] = None,
    published: Annotated[bool, typer.Option("--published", help="What production runs, instead of the drafts.")] = False,
    nodes: Nodes = None,
    tag: Tag = None,
    as_json: Json = False,
) -> None:
    """Make a git branch of what was edited in n8n: a commit per workflow, by its author. Your working tree stays as it is."""
    from worker.cli.n8n.adopting import adopt

    adopt(folder, branch, nodes, tag, published=published, as_json=as_json)


@n8n.command()
def build(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the files for the first boot go.")],
    *,
    token: Annotated[
        bool,
        typer.Option(
            "--token", help="Make a fresh API token of role n8n for it, kept in OUT/secrets; earlier keys mean nothing."
        ),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Do nothing if OUT holds a build already.")] = False,
    as_json: Json = False,
) -> None:
    """Files for an n8n that was never started: workflows with ids, credentials without secrets, and a script."""
    from worker.cli.n8n.building import build

    build(folder, out, token=token, once=once, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the commands of this family on `app`."""
    app.add_typer(n8n, name="n8n")
