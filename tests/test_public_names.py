from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hubdistill

PUBLIC = [
    "DistillationReport",
    "HubDistillCallback",
    "HubDistillError",
    "LocalHub",
    "PushOutcome",
    "Recipe",
    "Run",
    "Verification",
    "__version__",
    "check_loads_back",
    "compare_reports",
    "evaluate_models",
    "load_recipe",
    "load_report",
    "preflight",
    "push",
    "render_card",
    "render_family_card",
    "verify",
    "write_card",
    "write_cards",
    "write_family_card",
]

WITHOUT_TORCH = [
    "hubdistill",
    "hubdistill.recipe",
    "hubdistill.recipe_file",
    "hubdistill.report",
    "hubdistill.report_comparison",
    "hubdistill.eval_results",
    "hubdistill.errors",
    "hubdistill.cli",
    "hubdistill.figures",
    "hubdistill.card",
    "hubdistill.hub",
    "hubdistill.localhub",
    "hubdistill.demo",
    "hubdistill.preview",
    "hubdistill.verification.card_check",
    "hubdistill.data_sources",
]


def test_public_names_are_these() -> None:
    assert sorted(hubdistill.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(hubdistill, name)
    assert name in dir(hubdistill)
    assert isinstance(value, str) or value.__doc__


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(hubdistill.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == hubdistill._HOME


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Student'"):
        hubdistill.Student  # noqa: B018


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_importing_needs_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; print([n for n in ('torch', 'transformers', 'datasets') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_import_itself_loads_nothing_else() -> None:
    code = (
        "import sys; before = {name.partition('.')[0] for name in sys.modules}; import hubdistill\n"
        "new = {name.partition('.')[0] for name in sys.modules} - before - set(sys.stdlib_module_names)\n"
        "print(sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['hubdistill']\n"
