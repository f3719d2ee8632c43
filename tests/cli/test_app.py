from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from cli.conftest import Invoke

from hubdistill import __version__
from hubdistill.cli import app

COMMANDS = [
    "run",
    "embed",
    "distill",
    "evaluate",
    "card",
    "preview",
    "push",
    "verify",
    "init",
    "localhub",
    "demo",
    "report",
]

HEAVY = ["torch", "transformers", "datasets", "sentence_transformers", "scipy", "numpy", "pydantic"]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from hubdistill.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").output == f"hubdistill {__version__}\n"


def test_every_command_is_listed(invoke: Invoke) -> None:
    listed = [
        line.split()[0] for line in invoke("--help").output.partition("Commands:")[2].splitlines() if line
    ]
    assert listed[: len(COMMANDS)] == COMMANDS


@pytest.mark.parametrize("command", [*COMMANDS[:-1], "report show"])
def test_help_of_a_command_has_examples(invoke: Invoke, command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"hubdistill {command}" in result.output.partition("Example")[2]


def commands(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join((*names, name)), command


def test_every_command_has_the_formats_of_hf() -> None:
    found = dict(commands(typer.main.get_command(app)))
    assert {*COMMANDS[:-1], "report show", "report compare", "report schema"} <= found.keys()
    for name, command in found.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--format", "--json", "--quiet", "-q"} <= options, name


def test_first_lines_of_help_are_not_cut(invoke: Invoke) -> None:
    assert "..." not in invoke("--help").output.partition("Commands:")[2]


@pytest.mark.parametrize(
    "arguments", [["run"], ["nonsense"], ["push", "folder"], ["run", "recipe.yaml", "--nonsense"]]
)
def test_usage_errors_exit_with_2(invoke: Invoke, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_no_arguments_shows_help(invoke: Invoke) -> None:
    assert "Commands:" in invoke().output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_command_names(shell: str) -> None:
    environment = {
        "bash": {"COMP_WORDS": "hubdistill ev", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "hubdistill ev"},
        "fish": {"_TYPER_COMPLETE_ARGS": "hubdistill ev", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from hubdistill.cli import app; app(prog_name='hubdistill')",
        ],
        env={**environment, "_HUBDISTILL_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "evaluate" in done.stdout
