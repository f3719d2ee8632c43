"""What names this machine and its user, and so must not travel wherever it stands."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from hubdistill.card.vocabulary import words
from hubdistill.private_text_rules import NO_PATH, PATH_START, Rule

# Names that say nothing about a person: those of images, services and examples.
_NOBODY = words(
    """
    root user users admin administrator nobody guest default demo test build ci runner worker app home
    data work docker container localhost vagrant ubuntu debian centos fedora ec2-user azureuser opc
    jovyan codespace vscode gitpod node python models student students teacher
    """
)
_FIELDS = frozenset(
    ("user", "username", "user_name", "login", "host", "hostname", "host_name", "nodename", "node_name")
)


def own_names() -> frozenset[str]:
    """The login name, the home folder's name and the host's name, but for those that say nothing."""
    names = {
        Path.home().name,
        *(os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")),
    }
    with contextlib.suppress(OSError, KeyError):  # a user id without a name, as in many containers
        names.add(getpass.getuser())
    names.add(socket.gethostname())
    return frozenset(name for name in names if len(name) >= 3 and name.lower() not in _NOBODY)


def own_rules(names: Iterable[str], folders: Iterable[Path]) -> tuple[Rule, ...]:
    """Rules for the folders of this machine as they are written, and for its names as part of a path.

    A name alone is no sign: the same name may be the author's, or the namespace on the Hub.

    Args:
        names: as of `own_names`.
        folders: the home folder, the working directory, the folder that is published.
    """
    rules = []
    for folder in {path.absolute() for path in folders}:
        spelling = str(folder)
        if len(folder.parts) > 2:
            end = r"(?![\w-])"
            rules.append(
                Rule("folder of this machine", re.compile(re.escape(spelling) + end), NO_PATH, (spelling,))
            )
    for name in names:
        part = re.escape(name)
        path = rf"{PATH_START}(?:/[\w.@+-]+)+/{part}(?![\w.-])(?:/[^\s\"'`<>|)\]}},;]*)?"
        rules.append(
            Rule("path with the name of this machine or its user", re.compile(path), NO_PATH, (f"/{name}",))
        )
    return tuple(rules)


def names_machine(key: str, value: str, names: Iterable[str]) -> bool:
    """Whether a field such as `hostname` or `user` says who or where we are."""
    return key.lower() in _FIELDS and value in names
