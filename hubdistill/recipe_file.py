"""Recipes as YAML: reading them, writing them, and saying in a recipe's own words what is wrong with one."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from hubdistill.errors import RecipeError
from hubdistill.recipe import (
    Card,
    Corpus,
    CorpusSource,
    Evaluation,
    LayerStudent,
    MadeQueries,
    ModelStudent,
    Publish,
    Recipe,
    RetrievalSet,
    Settings,
    SimilaritySet,
    Speed,
    StaticStudent,
    Teacher,
    Training,
    TrimmedStudent,
    Vocabulary,
)
from hubdistill.unique_keys import UniqueKeys


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: the file is missing, is not YAML, or says something a recipe cannot say; the
            message names the field and, for an unknown key, the nearest known one.
    """
    path = Path(path)
    if not path.exists():
        raise RecipeError(f"no recipe at {path}; `hubdistill init {path}` writes one")
    return parse_recipe(_read_yaml(path), folder=path.parent, name=str(path))


def parse_recipe(data: Any, *, folder: Path, name: str = "recipe") -> Recipe:
    """Turn plain data into a recipe whose relative paths start from `folder`.

    Raises:
        RecipeError: as `load_recipe`.
    """
    if not isinstance(data, dict):
        raise RecipeError(f"{name}: expected a mapping with the keys {', '.join(Recipe.model_fields)}")
    recipe = _validate(Recipe, data, name)
    recipe._folder = folder
    return recipe


def load_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Read what a YAML file says under `evaluation`: a recipe, or a file with nothing else.

    Raises:
        RecipeError: as `load_recipe`; also when there is no such key.
    """
    path = Path(path)
    data = _read_yaml(path)
    if not isinstance(data, dict) or "evaluation" not in data:
        raise RecipeError(f"{path}: expected the key `evaluation`, as in a recipe")
    return parse_evaluation(data["evaluation"], name=str(path))


def parse_evaluation(data: Any, *, name: str = "settings") -> Evaluation:
    """Turn plain data into what is to be measured.

    Raises:
        RecipeError: as `load_recipe`.
    """
    return _validate(_EvaluationFile, {"evaluation": data}, name).evaluation


class _EvaluationFile(Settings):
    evaluation: Evaluation


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read {path}: {error}") from error
    except RecursionError:
        raise RecipeError(f"{path} is nested too deeply for a recipe") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error


AnySettings = TypeVar("AnySettings", bound=Settings)


def _validate(model: type[AnySettings], data: Any, name: str) -> AnySettings:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A list whose items were refused is also reported as too short; the items' own errors suffice.
        found = [
            problem for problem in error.errors() if problem["type"] != "too_short" or not problem["input"]
        ]
        problems = "\n".join(f"  {_explain(problem)}" for problem in found)
        raise RecipeError(f"{name}:\n{problems}") from None


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe as YAML, fit to be published: what was set, without the paths of one machine.

    Local models with a Hub id are named by that id; absolute paths are cut to their last part.
    """
    data = describe(recipe)
    for model in (data["teacher"], *data["students"]):
        if hub_id := model.pop("hub_id", None):
            model["model"] = hub_id
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def describe(settings: Settings) -> dict[str, Any]:
    """What was set, as plain data that is fit to be published: absolute paths are cut to their last part."""
    plain: dict[str, Any] = without_absolute_paths(settings.model_dump(mode="json", exclude_unset=True))
    return plain


def published(settings: AnySettings) -> AnySettings:
    """The same settings, fit to be published: see `describe`."""
    return type(settings).model_validate(describe(settings))


def published_teacher(teacher: Teacher) -> Teacher:
    """What a recipe says of a teacher, fit to be published: a local folder goes by its Hub id."""
    plain = describe(teacher)
    if hub_id := plain.pop("hub_id", None):
        plain["model"] = hub_id
    return Teacher.model_validate(plain)


def without_absolute_paths(data: Any) -> Any:
    """Plain data with absolute paths cut to their last part."""
    if isinstance(data, dict):
        return {key: without_absolute_paths(value) for key, value in data.items()}
    if isinstance(data, os.PathLike):
        data = os.fspath(data)
    if isinstance(data, list):
        return [without_absolute_paths(value) for value in data]
    if isinstance(data, str) and "\n" not in data and Path(data).expanduser().is_absolute():
        return Path(data).name
    return data


def _explain(problem: Any) -> str:
    """One line for one pydantic problem: where, what, and the nearest known key."""
    place = ".".join(str(part) for part in _without_kind(problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = _known_keys(problem["loc"])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
        return f"{place}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{place}: missing; this key is required"
    message = _expectation(problem)
    return f"{place}: {message} (given: {problem['input']!r:.60})" if place else message


def _expectation(problem: Any) -> str:
    """What was expected, in the words of YAML where pydantic uses those of Python."""
    context = problem.get("ctx", {})
    match problem["type"]:
        case "model_type" | "model_attributes_type" | "dict_type":
            return "expected keys with values"
        case "tuple_type" | "list_type":
            return "expected a list: [a, b]"
        case "too_short":
            return "expected at least one item"
        case "int_type" | "int_parsing" | "int_from_float":
            return "expected a whole number"
        case "union_tag_invalid":
            return f"`kind` is one of {context['expected_tags']}, not {context['tag']!r}"
        case "invalid_key":
            return "expected a key of letters"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")


_UNION_BRANCH = re.compile(r"constrained-|literal\[|tuple\[")


def _without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The location as the recipe's author sees it: pydantic adds the student's kind and types of unions."""
    inside = len(location) > 2 and location[0] == "students"
    location = location[:2] + location[3:] if inside else location
    return tuple(part for part in location if not _UNION_BRANCH.match(str(part)))


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys of the model that a pydantic error location points into."""
    parents: dict[str, type[Settings]] = {
        "teacher": Teacher,
        "corpus": Corpus,
        "sources": CorpusSource,
        "training": Training,
        "evaluation": Evaluation,
        "similarity": SimilaritySet,
        "retrieval": RetrievalSet,
        "speed": Speed,
        "make_queries": MadeQueries,
        "card": Card,
        "publish": Publish,
        "static": StaticStudent,
        "layers": LayerStudent,
        "trimmed": TrimmedStudent,
        "model": ModelStudent,
        "vocabulary": Vocabulary,
    }
    for part in reversed(location[:-1]):
        if part in parents:
            return list(parents[str(part)].model_fields)
    return list(Recipe.model_fields)
