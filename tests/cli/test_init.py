from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import yaml
from cli.conftest import Invoke

from hubdistill import recipe
from hubdistill.recipe_file import load_recipe, parse_recipe

SETTINGS = [
    part for part in vars(recipe).values() if isinstance(part, type) and issubclass(part, recipe.Settings)
]


def test_the_recipe_it_writes_is_valid(invoke: Invoke) -> None:
    assert invoke("init").exit_code == 0
    written = load_recipe("recipe.yaml")
    assert [student.kind for student in written.students] == ["layers", "static"]


def test_every_setting_in_its_comments_is_valid() -> None:
    """Uncommented, all shown settings but those with `...` make one valid recipe."""
    text = resources.files("hubdistill.cli").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    body = text.partition("\nname:")[2]
    shown = re.sub(r"^(\s*)# (?=\s*(- )?[a-z_0-9]+:|\s+-)", r"\1", "name:" + body, flags=re.MULTILINE)
    lines = [line for line in shown.splitlines() if not re.search(r": \.\.\.(\s|$)", line)]
    made = parse_recipe(yaml.safe_load("\n".join(lines)), folder=Path())
    assert made.training.batch_size == 32
    assert made.publish.namespace == "my-name"
    assert made.evaluation.retrieval[0].folder == "my-search"
    assert made.corpus.sources[2].files == ("texts/*.jsonl",)
    assert made.corpus.sources[3].label == "label"


def test_every_setting_of_a_recipe_is_shown() -> None:
    text = resources.files("hubdistill.cli").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    missing = {
        f"{part.__name__}.{name}"
        for part in SETTINGS
        for name in part.model_fields
        if not re.search(rf"(^|; or )[ #-]*{name}:", text, flags=re.MULTILINE)
    }
    assert len(SETTINGS) > 10
    assert not missing


# Of a source, set or student that is an example as a whole.
ENTRIES = {
    "columns",
    "dataset",
    "folder",
    "kind",
    "label",
    "language",
    "method",
    "model",
    "namespace",
    "split",
}


def test_a_setting_in_a_comment_that_is_no_example_has_its_default() -> None:
    text = resources.files("hubdistill.cli").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    lines = re.findall(r"^ *# +([a-z_0-9]+): ([^\s#.][^#\n]*?)\s*(?:#(.*))?$", text, flags=re.MULTILINE)
    shown = [(name, yaml.safe_load(value)) for name, value, comment in lines if "e.g." not in comment]
    defaults = [
        (name, part.model_fields[name].get_default(call_default_factory=True))
        for part in SETTINGS
        for name in part.model_fields
    ]
    wrong = [
        (name, value)
        for name, value in shown
        if name not in ENTRIES and not any(name == n and value == _plain(default) for n, default in defaults)
    ]
    assert len(shown) > 40
    assert not wrong


def _plain(default: object) -> object:
    return list(default) if isinstance(default, tuple) else default


def test_it_replaces_nothing(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("mine")
    result = invoke("init")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (tmp_path / "recipe.yaml").read_text() == "mine"


def test_force_replaces(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("mine")
    assert invoke("init", "--force").exit_code == 0
    load_recipe(tmp_path / "recipe.yaml")


def test_a_folder_gets_recipe_yaml_and_a_new_folder_is_made(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert invoke("init", "here", "--quiet").stdout == "here/recipe.yaml\n"
    assert json.loads(invoke("init", "new/mine.yaml", "--json").stdout) == {"recipe": "new/mine.yaml"}
    assert (tmp_path / "new/mine.yaml").exists()
    assert invoke("init", "later/", "--quiet").stdout == "later/recipe.yaml\n"
    assert (tmp_path / "later/recipe.yaml").is_file()
