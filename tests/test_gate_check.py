from __future__ import annotations

from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
from transformers import TrainerControl, TrainerState

from hubdistill import HubDistillCallback
from hubdistill.errors import GateError
from hubdistill.gate_check import check_gates
from hubdistill.recipe import Evaluation, RetrievalSet, SimilaritySet

EVALUATION = Evaluation(
    similarity=(SimilaritySet(name="stsb-test", files=("stsb.tsv",)),),
    retrieval=(RetrievalSet(name="cranfield", folder="cranfield"),),
)


def test_gates_on_what_will_be_measured_pass() -> None:
    gates = ["spearman_cosine@stsb-test >= 0.9*teacher", "ndcg_at_10@cranfield > 0", "speedup >= 2"]
    gates += [
        "precision_at_k@held-out-retrieval[k=10] > 0",
        "teacher_cosine@Held-out texts > 0",
        "no_regression",
    ]
    check_gates(gates, EVALUATION)


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("spearman_cosin@stsb-test > 0", "no such metric will be measured; did you mean 'spearman_cosine'"),
        (
            "spearman_cosine@stsb > 0",
            "no such data .*did you mean 'stsb-test'.* there will be cranfield, held-out,",
        ),
        ("speedup => 2", "not a condition"),
    ],
)
def test_slip_in_a_gate_is_told_before_the_work(gate: str, problem: str) -> None:
    with pytest.raises(GateError, match=problem):
        check_gates([gate], EVALUATION)


def test_tasks_of_mteb_may_stand_for_others() -> None:
    check_gates(["mteb_main_score@STS12 > 0"], EVALUATION.model_copy(update={"mteb": ("MTEB(eng, v2)",)}))


def test_callback_checks_gates_before_it_asks_the_hub(
    tmp_path: Path, tiny_teacher: SentenceTransformer
) -> None:
    callback = HubDistillCallback("teacher", "demo/x", held_out=["a"], gates=["speedups >= 2"])
    arguments = SentenceTransformerTrainingArguments(output_dir=str(tmp_path))
    with pytest.raises(GateError, match="did you mean 'speedup'"):
        callback.on_train_begin(arguments, TrainerState(), TrainerControl(), model=tiny_teacher)
