from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import yaml
from cli.conftest import Invoke

from hubdistill.recipe import Recipe
from hubdistill.recipe_file import load_recipe, parse_recipe


def test_the_recipe_it_writes_is_valid(invoke: Invoke) -> None:
    assert invoke("init").exit_code == 0
    recipe = load_recipe("recipe.yaml")
    assert [student.kind for student in recipe.students] == ["layers", "static"]


def test_every_setting_in_its_comments_is_valid() -> None:
    """Uncommented, all shown settings but those with `...` make one valid recipe."""
    text = resources.files("hubdistill.cli").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    body = text.partition("\nname:")[2]
    shown = re.sub(r"^(\s*)# (?=\s*(- )?[a-z_0-9]+:|\s+-)", r"\1", "name:" + body, flags=re.MULTILINE)
    lines = [line for line in shown.splitlines() if not re.search(r": \.\.\.(\s|$)", line)]
    recipe = parse_recipe(yaml.safe_load("\n".join(lines)), folder=Path())
    assert recipe.training.batch_size == 32
    assert recipe.publish.namespace == "my-name"
    assert recipe.evaluation.retrieval[0].folder == "my-search"
    assert recipe.corpus.sources[2].files == ("texts/*.jsonl",)
    assert recipe.corpus.sources[3].label == "label"


def test_defaults_shown_in_comments_are_the_defaults() -> None:
    text = resources.files("hubdistill.cli").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^# +([a-z_]+): ([^#\s]+)", text, flags=re.MULTILINE))
    defaults = Recipe.model_fields
    assert int(shown["seed"]) == defaults["seed"].default
    assert shown["output"] == defaults["output"].default
    training = defaults["training"].default
    assert int(shown["batch_size"]) == training.batch_size
    assert float(shown["learning_rate"]) == training.learning_rate
    assert shown["loss"] == training.loss


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
