from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hubdistill.errors import RecipeError
from hubdistill.recipe import Evaluation, LayerStudent, Recipe, StaticStudent
from hubdistill.recipe_file import dump_recipe, load_recipe, parse_recipe

EXAMPLES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def minimal(**changes: Any) -> dict[str, Any]:
    """The least that a recipe must say."""
    return {
        "name": "family",
        "teacher": {"model": "org/teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"]}]},
        "students": [{"name": "small", "layers": 3}],
        **changes,
    }


def parse(**changes: Any) -> Recipe:
    return parse_recipe(minimal(**changes), folder=Path("/recipes"))


def refusal(**changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        parse(**changes)
    return str(caught.value)


# What it may say


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_and_settle_their_licence(path: Path) -> None:
    assert load_recipe(path).card.license


def test_there_is_an_example_for_every_published_family() -> None:
    recipes = {path.stem: load_recipe(path) for path in EXAMPLES}
    layers = {name: [s.layers for s in r.students if s.kind == "layers"] for name, r in recipes.items()}
    assert layers == {
        "bge-m3": [8, 6, 4],
        "mxbai-embed-large-v1": [8],
        "static-english": [],
        "static-multilingual": [],
    }
    assert recipes["bge-m3"].teacher.model == "BAAI/bge-m3"
    assert recipes["mxbai-embed-large-v1"].teacher.model == "mixedbread-ai/mxbai-embed-large-v1"


def test_defaults_fill_in_the_rest() -> None:
    recipe = parse()
    assert recipe.training.loss == "cosine"
    assert recipe.training.learning_rate == 5e-4
    assert recipe.training.freeze_token_embeddings
    assert recipe.evaluation.k == (10, 20, 30, 40, 50)
    assert recipe.evaluation.speed is not None
    assert recipe.card.license is None
    assert not recipe.publish.private


def test_a_student_is_one_with_layers_unless_it_says_static() -> None:
    recipe = parse(students=[{"name": "a", "layers": [0, 5]}, {"name": "b", "kind": "static"}])
    assert isinstance(recipe.students[0], LayerStudent)
    assert recipe.students[0].layers == (0, 5)
    assert isinstance(recipe.students[1], StaticStudent)


def test_a_students_training_settings_change_only_what_they_name() -> None:
    recipe = parse(
        training={"epochs": 3, "batch_size": 32},
        students=[{"name": "a", "layers": 3, "training": {"epochs": 5}}, {"name": "b", "layers": 3}],
    )
    first, second = (s for s in recipe.students if isinstance(s, LayerStudent))
    assert (recipe.training_of(first).epochs, recipe.training_of(first).batch_size) == (5, 32)
    assert recipe.training_of(second) == recipe.training


def test_paths_start_from_the_recipes_own_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "recipe.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(minimal(output="out")), encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.folder == path.parent
    assert recipe.output_folder == path.parent / "out" / "family"


def test_speed_can_be_left_unmeasured() -> None:
    assert parse(evaluation={"speed": None}).evaluation.speed is None


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse().name = "other"  # type: ignore[misc]


def test_local_models_are_published_under_their_hub_ids() -> None:
    recipe = parse(
        teacher={"model": "models/big", "hub_id": "org/big"},
        students=[{"name": "a", "kind": "model", "model": "../models/small", "hub_id": "org/small"}],
    )
    text = dump_recipe(recipe)
    assert "model: org/big" in text
    assert "model: org/small" in text
    assert "models/" not in text


def test_a_matryoshka_size_stands_there_once() -> None:
    with pytest.raises(RecipeError, match=r"training\.matryoshka: .*names a size twice"):
        parse(training={"matryoshka": [64, 64]})
    static = {"name": "table", "kind": "static", "matryoshka": [64, 64]}
    with pytest.raises(RecipeError, match=r"matryoshka: .*names a size twice"):
        parse(students=[static])


def test_dump_writes_what_was_set_and_reads_back_equal() -> None:
    recipe = parse(card={"title": "Ein kleines Modell für Ähnlichkeit", "license": "mit"})
    text = dump_recipe(recipe)
    assert "batch_size" not in text
    assert "Ähnlichkeit" in text
    assert parse_recipe(yaml.safe_load(text), folder=Path("/recipes")) == recipe


# What it may not say


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachr": {}}, "teachr: unknown key; did you mean `teacher`?"),
        (
            {"teacher": {"model": "t", "max_lenght": 9}},
            "teacher.max_lenght: unknown key; did you mean `max_length`?",
        ),
        (
            {"corpus": {"sources": [{"files": ["a"], "colums": ["x"]}]}},
            "corpus.sources.0.colums: unknown key; did you mean `columns`?",
        ),
        (
            {"students": [{"name": "a", "layers": 3, "selct": "ends"}]},
            "students.0.selct: unknown key; did you mean `select`?",
        ),
        (
            {"students": [{"name": "a", "kind": "static", "rigde": 1}]},
            "students.0.rigde: unknown key; did you mean `ridge`?",
        ),
        (
            {"students": [{"name": "a", "kind": "model", "model": "b", "teacher_spcae": False}]},
            "students.0.teacher_spcae: unknown key; did you mean `teacher_space`?",
        ),
        (
            {"students": [{"name": "a", "kind": "trimmed", "vocabulary": {"token": 9}}]},
            "students.0.vocabulary.token: unknown key; did you mean `tokens`?",
        ),
        (
            {"students": [{"name": "a", "layers": 3, "training": {"epoch": 1}}]},
            "students.0.training.epoch: unknown key; did you mean `epochs`?",
        ),
        (
            {"evaluation": {"similarity": [{"name": "s", "files": ["a"], "scores": "x"}]}},
            "evaluation.similarity.0.scores: unknown key; did you mean `score`?",
        ),
        ({"card": {"licence": "mit"}}, "card.licence: unknown key; did you mean `license`?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(**changes)


def test_an_unknown_key_like_no_other_is_refused_with_all_known_ones() -> None:
    assert "publish.zzz: unknown key; known keys: namespace, private" in refusal(publish={"zzz": 1})


def test_every_problem_is_told_at_once() -> None:
    message = refusal(seed="many", publish={"privat": True}, training={"epochs": 0})
    assert all(place in message for place in ("seed:", "publish.privat:", "training.epochs:"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"sources": [{"files": ["a"], "dataset": "b"}]}}, "name either `dataset`"),
        ({"corpus": {"sources": [{}]}}, "name either `dataset`"),
        ({"corpus": {"sources": []}}, "corpus.sources"),
        ({"students": []}, "students"),
        ({"students": [{"name": "a", "layers": 0}]}, "students.0.layers"),
        ({"students": [{"name": "a/b", "layers": 2}]}, "students.0.name"),
        ({"students": [{"name": "a", "kind": "tiny"}]}, "students.0"),
        ({"students": [{"name": "a", "layers": 2}, {"name": "a", "layers": 3}]}, "'a' is used twice"),
        ({"corpus": {"sources": [{"files": ["a"]}], "held_out": 0.7}}, "corpus.held_out"),
        ({"teacher": {}}, "teacher.model: missing; this key is required"),
        ({"teacher": "org/model"}, "teacher: expected keys with values (given: 'org/model')"),
        ({"students": {"name": "a"}}, "students: expected a list"),
        ({"students": [{"name": "a", "layers": []}]}, "students.0.layers: expected at least one item"),
        ({"students": [{"name": "a", "layers": "two"}]}, "students.0.layers: expected a whole number"),
        (
            {"students": [{"name": "a", "kind": "tiny"}]},
            "`kind` is one of 'layers', 'static', 'trimmed', 'model', not 'tiny'",
        ),
        ({"students": [{"name": "a", "kind": "trimmed"}]}, "`vocabulary`, `dimensions` or both"),
        ({"students": [{"name": "a", "kind": "model"}]}, "students.0.model: missing"),
        (
            {"students": [{"name": "a", "layers": 2, "vocabulary": {}}]},
            "students.0.vocabulary: say either `tokens`",
        ),
        (
            {"students": [{"name": "a", "layers": 2, "vocabulary": {"tokens": 9, "coverage": 0.9}}]},
            "students.0.vocabulary: say either `tokens`",
        ),
        (
            {"students": [{"name": "a", "layers": 2, "vocabulary": {"coverage": 99}}]},
            "students.0.vocabulary.coverage",
        ),
        ({"students": [{"name": "a", "layers": 2, "dimensions": 0}]}, "students.0.dimensions"),
        ({"training": {"matryoshka": [0]}}, "training.matryoshka.0"),
        ({"students": [{"name": "a--b", "layers": 2}]}, "students.0.name: a name is letters, digits"),
        ({"students": [{"name": "a.", "layers": 2}]}, "students.0.name: a name is letters, digits"),
        ({"card": {"language": "en"}}, "card.language: expected a list"),
        ({"evaluation": {"k": []}}, "evaluation.k: expected at least one item"),
        ({"evaluation": {"k": [5, 0]}}, "evaluation.k.1: Input should be greater than or equal to 1"),
        ({"evaluation": {"speed": {"tokens": [0]}}}, "evaluation.speed.tokens.0"),
        ({"evaluation": {"index": "qdrant"}}, "evaluation.index: expected exact, :memory: or the URL"),
        ({"evaluation": {"retrieval": [{"name": "speed", "folder": "f"}]}}, "the name 'speed' is taken"),
        (
            {
                "evaluation": {
                    "similarity": [{"name": "x", "files": ["a"]}],
                    "retrieval": [{"name": "x", "folder": "f"}],
                }
            },
            "evaluation: the name 'x' is used twice",
        ),
        ({"publish": {"create_pr": True, "tag": "v1"}}, "publish: a tag marks a commit of a branch"),
        ({"publish": {"create_pr": True, "revision": "next"}}, "publish: a pull request proposes changes"),
        (
            {"publish": {"create_pr": True, "collection": "Small"}},
            "a pull request publishes nothing yet",
        ),
        ({"publish": {"collection_note": "fast"}}, "publish: the note belongs to a collection"),
        (
            {"publish": {"collection": "Small", "collection_note": "x" * 501}},
            "publish: the collection's note has 501 characters; the Hub takes 500",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(**changes)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="hubdistill init"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "not valid YAML"),
        (b"just words", "expected a mapping"),
        (b"", "expected a mapping"),
        (b"name: \xff\xfe", "cannot read|not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_key_said_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(minimal()) + "name: another\n")
    with pytest.raises(RecipeError, match="the key 'name' stands there twice"):
        load_recipe(path)


@pytest.mark.parametrize("name", ["held-out", "held-out-retrieval", "speed"])
def test_the_names_of_held_out_measurements_are_reserved(name: str) -> None:
    with pytest.raises(ValueError, match=f"the name '{name}' is taken by what is measured on held-out texts"):
        Evaluation(mteb=(name,))


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(path)
