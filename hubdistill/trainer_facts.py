"""What a Trainer did, for the report: as sentence-transformers collected it, and as the Trainer logged it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hubdistill import report
from hubdistill.errors import TrainingError
from hubdistill.trainer import hyperparameters, training_log

if TYPE_CHECKING:
    from transformers import TrainerState, TrainingArguments

TEACHER_VECTOR_LOSSES = frozenset({"MSELoss", "EmbedDistillLoss", "NeighbourhoodDistillLoss"})
"""Losses whose labels are vectors: a distance to the teacher's."""


def refuse_uncollected(collected: Any) -> None:
    """Insist that sentence-transformers collected which data and losses it trains with.

    Args:
        collected: a model's `model_card_data`, or None.

    Raises:
        TrainingError: it did not.
    """
    data = collected.train_datasets if collected is not None else []
    if not data or not all("loss" in one for one in data):
        raise TrainingError(
            "nothing says which data and losses the student is trained with: sentence-transformers notes "
            "them with the callback that Trainer.add_model_card_callback adds; do not override it, and hand "
            "HubDistillCallback to the Trainer itself: SentenceTransformerTrainer(..., callbacks=[...])"
        )


def training_facts(
    args: TrainingArguments, state: TrainerState, collected: Any, *, seconds: float
) -> report.Training:
    """How the student was trained.

    Args:
        collected: the `model_card_data` that sentence-transformers noted data and losses in.
        seconds: that training took.
    """
    changed, everything = hyperparameters(args)
    data: list[dict[str, Any]] = collected.train_datasets
    losses: dict[str, dict[str, Any]] = {}
    for one in data:
        losses.setdefault(one["loss"]["fullname"].rsplit(".", 1)[-1], _parameters(one["loss"]))
    seen = state.global_step * args.gradient_accumulation_steps * args.train_batch_size * args.world_size
    # A streamed data set does not say how many rows it has.
    rows = sum(one["size"] for one in data) if all("size" in one for one in data) else seen
    citations = dict(collected.citations)
    citations.pop("Sentence Transformers", None)
    return report.Training(
        method="layers",
        loss=" and ".join(losses),
        loss_parameters={
            name if len(losses) == 1 else f"{loss}.{name}": (
                value if isinstance(value, str | int | float | None) else str(value)
            )
            for loss, parameters in losses.items()
            for name, value in parameters.items()
        },
        # Losses that wrap another name it among their parameters.
        teacher_vectors=TEACHER_VECTOR_LOSSES.issuperset(
            parameters.get("loss", loss) for loss, parameters in losses.items()
        ),
        texts=min(rows, seen),
        hyperparameters=changed,
        all_hyperparameters=everything,
        log=training_log(state.log_history),
        best_step=state.best_global_step,
        seconds=seconds,
        citations=tuple(text.strip() for text in citations.values()),
        emissions=emissions(collected),
    )


def emissions(collected: Any) -> report.Emissions | None:
    """What codecarbon found, where the Trainer has its callback."""
    counted = collected.code_carbon_callback
    if counted is None or counted.tracker is None or counted.tracker._start_time is None:
        return None
    found = collected.get_codecarbon_data()["co2_eq_emissions"]
    return report.Emissions(grams=found["emissions"], kilowatt_hours=found["energy_consumed"])


def _parameters(loss: dict[str, Any]) -> dict[str, Any]:
    code = loss.get("config_code", "{}").strip().removeprefix("```json").removesuffix("```")
    try:
        parameters = json.loads(code)
    except ValueError:  # parameters that JSON cannot hold
        return {}
    return parameters if isinstance(parameters, dict) else {}
