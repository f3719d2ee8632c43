"""distil-trainer's layer reduction, in an environment that has it.

pip install distil-trainer==0.1.27
"""

from __future__ import annotations

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from answering import answer
from datasets import Dataset
from distil_trainer import DistilTrainer, DistilTrainerConfig
from distil_trainer.core.config import DataConfig, LayerReductionConfig
from transformers import set_seed


def versions() -> dict[str, Any]:
    names = ["distil-trainer", "sentence-transformers", "transformers"]
    return {f"peer {name}": version(name) for name in names}


def train(
    teacher: str, texts: str, layers: int, seed: int, max_length: int | None, output: str
) -> dict[str, Any]:
    """As its README has it, with the package's defaults.

    Two settings differ: texts are cut at the teacher's own maximum instead of 512 tokens, and the teacher's
    vectors are made by the package's own function before the clock of the training starts.
    """
    set_seed(seed)
    config = DistilTrainerConfig(
        teacher_model=teacher,
        student_init_strategy="layer_reduction",
        pruning_config=LayerReductionConfig(num_layers_to_keep=layers),
        data_config=DataConfig(max_seq_length=max_length or 512),
        output_dir=output,
        device="cuda" if torch.cuda.is_available() else "cpu",
        seed=seed,
    )
    trainer = DistilTrainer(config)
    sentences = json.loads(Path(texts).read_text(encoding="utf-8"))
    trainer.load_data(train_data=Dataset.from_dict({"sentence": sentences}))
    started = time.perf_counter()
    trainer.precompute_teacher_embeddings()
    teacher_seconds = time.perf_counter() - started
    config.distillation_config.precompute_teacher_embeddings = False
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    trainer.save_model(output)
    return {"seconds": seconds, "teacher_seconds": teacher_seconds}


if __name__ == "__main__":
    answer(versions, train)
