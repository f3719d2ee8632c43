"""Layer-reduced students: the teacher with fewer of its own blocks.

The block list is found by its structure, so any encoder that is one stack of equal blocks can be
reduced. The student is built from the reduced configuration and then filled with the teacher's
weights; what a reload builds from the saved configuration is therefore what was trained.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from hubdistill.errors import StudentDepthError, StudentError
from hubdistill.students.copying import copy_model, refuse_router

Strategy = Literal["ends", "even", "first", "last"]

# Older ways of writing `layer_types`; after a reduction they would contradict it.
_PATTERN_FIELDS = ("global_attn_every_n_layers", "sliding_window_pattern", "_sliding_window_pattern")

# What may differ between a block of the teacher and the student's block with the same weights.
_FREE_SETTINGS = ("layer_idx", "training", "gradient_checkpointing")


def select_layers(
    available: int,
    keep: int | Sequence[int],
    strategy: Strategy = "ends",
    *,
    student: str = "student",
    teacher: str = "the teacher",
    index: int = 0,
) -> tuple[int, ...]:
    """Choose which of the teacher's layers a student keeps.

    - ``ends``: half of them, rounded up, from the front and the rest from the back:
      12 -> 4 gives (0, 1, 10, 11), 6 -> 3 gives (0, 1, 5);
    - ``even``: every n-th from the first: 12 -> 4 gives (0, 3, 6, 9);
    - ``first`` and ``last``: from one end only.

    Args:
        available: how many layers the teacher has.
        keep: how many layers to keep, or exactly which ones, counted from 0.
        strategy: which ones, when `keep` is a number.
        student: the student's name, for error messages.
        teacher: the teacher's name, for error messages.
        index: the student's place in the recipe, for error messages.

    Raises:
        StudentDepthError: more layers than the teacher has, or one that it does not have.
        StudentError: no layers, or a list that is not strictly increasing.
    """
    field = f"students[{index}].layers"
    wanted = keep if isinstance(keep, int) else len(keep)
    if wanted < 1:
        raise StudentError(f"student '{student}' keeps no layers; set {field} to at least 1")
    if wanted > available:
        raise StudentDepthError(
            f"student '{student}' asks for {wanted} layers, but {teacher} has {available}; "
            f"set {field} to at most {available}"
        )
    if not isinstance(keep, int):
        layers = tuple(keep)
        if outside := [layer for layer in layers if not 0 <= layer < available]:
            raise StudentDepthError(
                f"student '{student}' asks for layer {outside[0]}, but {teacher} has layers 0 to "
                f"{available - 1}; correct {field}"
            )
        if layers != tuple(sorted(set(layers))):
            raise StudentError(
                f"student '{student}' keeps the layers {list(layers)}; each must be named once and in "
                f"order: set {field} to {sorted(set(layers))}"
            )
        return layers
    if strategy == "first":
        return tuple(range(keep))
    if strategy == "last":
        return tuple(range(available - keep, available))
    if strategy == "even":
        return tuple(i * available // keep for i in range(keep))
    front = (keep + 1) // 2
    return (*range(front), *range(available - (keep - front), available))


def count_layers(model: SentenceTransformer) -> int:
    """Number of blocks in the model's encoder.

    Raises:
        StudentError: as `encoder_blocks`.
    """
    return len(encoder_blocks(model))


def encoder_blocks(model: SentenceTransformer) -> nn.ModuleList:
    """The encoder's list of blocks, as the model itself holds it.

    It is the one ModuleList of equal blocks that is as long as the configuration says the model is
    deep, and that lies in no other such list.

    Raises:
        StudentError: the model has no transformer, or not exactly one such list.
    """
    encoder = _encoder(model)
    return cast(nn.ModuleList, encoder.get_submodule(_blocks_path(encoder)))


def freeze_token_embeddings(model: SentenceTransformer) -> None:
    """Exclude the input token table from training.

    Only the table that is indexed by token id: position and type embeddings and the LayerNorm
    behind them are small and keep learning.
    """
    _encoder(model).get_input_embeddings().requires_grad_(False)


def reduce_layers(teacher: SentenceTransformer, layers: Sequence[int]) -> SentenceTransformer:
    """Make a student of some of the teacher's layers.

    The student has the teacher's tokenizer, pooling, further modules, prompts, similarity function and
    maximum length, but storage of its own and an empty model card. The teacher is left as it is.

    Args:
        teacher: a model whose first module is a transformer.
        layers: the layers to keep, counted from 0, increasing.

    Raises:
        StudentDepthError: the teacher has no such layer.
        StudentError: no block list was found, or a kept block cannot stand at its new place (the
            first block of some architectures is built differently from the others), or another module
            reads the output of every layer.
    """
    encoder = _encoder(teacher)
    if any(isinstance(module, WeightedLayerPooling) for module in teacher.modules()):
        raise StudentError(
            "this teacher's WeightedLayerPooling has a weight for each of its layers; it can have no "
            "layer-reduced students"
        )
    path = _blocks_path(encoder)
    blocks = cast(nn.ModuleList, encoder.get_submodule(path))
    layers = select_layers(len(blocks), layers)
    config = _reduced_config(encoder.config, layers)

    try:
        with torch.device(encoder.device), no_init_weights():
            reduced = type(encoder)._from_config(config, dtype=encoder.dtype)
        _check_blocks(blocks, cast(nn.ModuleList, reduced.get_submodule(path)), layers)
        reduced.load_state_dict(_kept_weights(encoder.state_dict(), path, layers))
    except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        # Some architectures count their layers in a setting of their own, or hold one tensor for all of them.
        first = next(iter(str(error).splitlines()), "")
        raise StudentError(
            f"{type(encoder).__name__} cannot be built with only the layers {list(layers)} ({first}); this "
            "teacher can have no such student"
        ) from error
    reduced.train(encoder.training)

    return copy_model(teacher, {id(encoder): reduced})


def _encoder(model: SentenceTransformer) -> PreTrainedModel:
    refuse_router(model)
    encoder = model.transformers_model
    if not isinstance(encoder, PreTrainedModel):
        raise StudentError(
            f"a layer-reduced student needs a teacher with a transformer; this one starts with "
            f"{type(model[0]).__name__}: use a student of kind 'static', or another teacher"
        )
    return encoder


def _blocks_path(encoder: PreTrainedModel) -> str:
    depth = getattr(encoder.config.get_text_config(), "num_hidden_layers", None)
    found: list[str] = []
    for name, module in encoder.named_modules():
        if (
            isinstance(module, nn.ModuleList)
            and len(module) == depth
            and len({type(block) for block in module}) == 1
            and not any(name.startswith(f"{outer}.") for outer in found)
        ):
            found.append(name)
    if len(found) != 1:
        place = f"{len(found)} of them: {', '.join(found)}" if found else "none"
        raise StudentError(
            f"cannot tell the layers of {type(encoder).__name__}: expected one list of {depth} equal "
            f"blocks, found {place}; this teacher can have no layer-reduced students"
        )
    return found[0]


def _reduced_config(config: PreTrainedConfig, layers: Sequence[int]) -> PreTrainedConfig:
    """A copy of the configuration in which everything that counts layers fits the kept ones."""
    config = copy.deepcopy(config)
    # A student is a model of its own, and the name may be a folder on this machine.
    config.name_or_path = ""
    text = config.get_text_config()
    depth = text.num_hidden_layers
    for name, value in vars(text).items():
        if isinstance(value, list | tuple) and "layer" in name and len(value) == depth:
            setattr(text, name, [value[layer] for layer in layers])
    text.num_hidden_layers = len(layers)
    if isinstance(getattr(text, "max_window_layers", None), int):
        # Layers before this one attend to everything.
        text.max_window_layers = sum(layer < text.max_window_layers for layer in layers)
    if getattr(text, "layer_types", None):
        for name in _PATTERN_FIELDS:
            vars(text).pop(name, None)
    return config


def _kept_weights(
    weights: dict[str, torch.Tensor], path: str, layers: Sequence[int]
) -> dict[str, torch.Tensor]:
    """The teacher's tensors under the names they have in the student."""
    new_place = {str(layer): str(place) for place, layer in enumerate(layers)}
    kept = {}
    for name, tensor in weights.items():
        if name.startswith(f"{path}."):
            layer, rest = name.removeprefix(f"{path}.").split(".", 1)
            if layer not in new_place:
                continue
            name = f"{path}.{new_place[layer]}.{rest}"
        kept[name] = tensor
    return kept


def _check_blocks(teacher: nn.ModuleList, student: nn.ModuleList, layers: Sequence[int]) -> None:
    """Make sure that every block was rebuilt as the one whose weights it gets."""
    for place, layer in enumerate(layers):
        if _structure(teacher[layer]) != _structure(student[place]):
            raise StudentError(
                f"{type(teacher[layer]).__name__} {layer} of the teacher is built differently from what its "
                f"architecture puts at place {place}, so it cannot move there; keep layer {place} as well"
            )


def _structure(block: nn.Module) -> dict[str, object]:
    """Parts, tensor shapes and plain settings of a block, but not its place in the stack."""
    structure: dict[str, object] = {name: tuple(t.shape) for name, t in block.state_dict().items()}
    for name, module in block.named_modules():
        structure[f"{name}()"] = type(module)
        for key, value in vars(module).items():
            if isinstance(value, int | float | str | None) and key not in _FREE_SETTINGS and key[0] != "_":
                structure[f"{name}.{key}"] = value
    return structure
