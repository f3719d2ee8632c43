"""The folder of a trained student: other files stay, and it gives the trained vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.atomic import write_text
from hubdistill.card.foreign import is_ours, read_card, set_aside
from hubdistill.card.keep import kept_sections
from hubdistill.errors import PublishError, TrainingError
from hubdistill.hub.files import read_module_folders
from hubdistill.models import Located, load_model

COMPARED_TEXTS = 8

NEVER_UPLOADED = (
    "training_args.bin",
    "checkpoint-*",
    "optimizer.*",
    "scheduler.pt",
    "rng_state*",
    "eval/",
    "runs/",
)
"""For .gitignore, which the Hub obeys, should the script call `trainer.push_to_hub()` itself."""

_SAVED = (
    "modules.json",
    "config.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "router_config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model-*-of-*.bin",
    "pytorch_model.bin.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
)
"""By these names libraries save a model, and find it again."""


def prepare_folder(folder: Path) -> None:
    """Set a card that hubdistill did not write aside, and add to .gitignore what is never uploaded.

    Raises:
        CardError: the card is not UTF-8, or its kept sections are broken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    readme, ignored = folder / "README.md", folder / ".gitignore"
    card = read_card(readme) or ""
    if card and not is_ours(card):
        set_aside([readme])
        readme.unlink()
    else:
        kept_sections(card)  # they go into the new card when training ends
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
    if missing := [line for line in NEVER_UPLOADED if line not in lines]:
        write_text(ignored, "\n".join([*lines, *missing]) + "\n")


def save_student(model: SentenceTransformer, folder: Path) -> None:
    """Save a model without a card, and remove what an older one left in the folder; other files stay.

    Of an older model with other files (whole weights, where now there is an adapter) some would be loaded
    in place of the new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as place:
        model.save_pretrained(place, create_model_card=False)
        for file in list(_older(folder)):
            file.unlink()
            with suppress(OSError):  # not empty
                file.parent.rmdir()
        for file in [path for path in Path(place).rglob("*") if path.is_file() and path.name != "README.md"]:
            target = folder / file.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)


def check_saved(
    model: SentenceTransformer, saved: Located, texts: Sequence[str], *, prompt: str | None
) -> None:
    """Insist that a folder, loaded as a user would, gives the vectors of the model in memory.

    Raises:
        TrainingError: it gives others, or the model gives NaN or infinity.
        TeacherError: it cannot be loaded.
    """
    expected, found = (
        np.asarray(one.encode(list(texts), prompt=prompt, show_progress_bar=False), dtype=np.float64)
        for one in (model, load_model(saved, device=str(model.device)))
    )
    if not np.isfinite(expected).all():
        raise TrainingError(
            "the trained student gives vectors with NaN or infinity, so training diverged; lower "
            "learning_rate, or train in float32 or bf16"
        )
    # The same weights, on the same device: what is left is the rounding of half precision.
    tolerance = 1e-3 if next(model.parameters()).dtype == torch.float32 else 2e-2
    same_width = expected.shape == found.shape
    size = np.linalg.norm(expected, axis=1)
    if not same_width or not (np.linalg.norm(found - expected, axis=1) <= tolerance * size).all():
        raise TrainingError(
            f"{saved.folder}, loaded anew, does not give the vectors of the trained student, so it was not "
            "measured; modules must save all their weights and settings, and an adapter needs the base that "
            "it was trained on (merge it into the weights)"
        )


def _older(folder: Path) -> Iterator[Path]:
    """The files of the model that was saved there before."""
    try:
        named = read_module_folders(folder)
    except PublishError:  # no modules.json, so what has such a name may be something else
        return
    modules = [path for name in named for path in sorted((folder / name).rglob("*"))]
    for path in {*folder.iterdir(), *modules}:
        if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in _SAVED):
            yield path
