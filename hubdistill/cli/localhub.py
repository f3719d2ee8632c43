"""`hubdistill localhub`: a Hub of your own on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubdistill.cli.output import Sink

if TYPE_CHECKING:
    from hubdistill.localhub import LocalHub


def localhub(
    folder: Annotated[Path, typer.Option(help="Where its repositories are kept.")] = Path("localhub"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    user: Annotated[str, typer.Option(help="Name of its user.")] = "demo",
    token: Annotated[
        str, typer.Option(help="The user's token. It is not a secret: the Hub answers this machine only.")
    ] = "hf_localhub_demo",
    *,
    sink: Sink,
) -> None:
    """Serve a small Hub on this machine.

    To try pushes without an account or a network: it listens on 127.0.0.1 until Ctrl-C and speaks to
    the unmodified huggingface_hub client. Repositories are git repositories and stay in the folder.

    \b
    Examples:
      hubdistill localhub
      hubdistill localhub --folder ~/hub --port 8888
    """
    from hubdistill.localhub import Account, serve

    def announce(hub: LocalHub) -> None:
        sink.show(
            {"endpoint": hub.endpoint, "user": user, "token": token, "folder": folder},
            human=[
                f"A Hub is listening at {hub.endpoint}; Ctrl-C stops it. In another terminal:",
                environment_lines(hub.endpoint, token),
                f"hubdistill push FOLDER --repo-id {user}/NAME",
            ],
            quiet=[hub.endpoint],
        )
        sys.stdout.flush()

    try:
        serve(folder, port, tokens={token: Account(user)}, on_ready=announce)
    except KeyboardInterrupt:
        # The way to end it, at whatever moment.
        return


def environment_lines(endpoint: str, token: str) -> str:
    """Shell lines that point Hub clients to a local Hub."""
    return (
        f"export HF_ENDPOINT={endpoint}\n"
        f"export HF_TOKEN={token}\n"
        "export HF_HUB_DISABLE_XET=1   # it stores large files by LFS"
    )
