"""mteb itself, on tiny models and on tasks whose data is here."""

from __future__ import annotations

import json
import math
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from evaluation.word_models import word_model
from sample_report import static_report
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation import mteb_tasks
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.mteb_tasks import check_mteb, measure_mteb
from hubdistill.results import results

if find_spec("mteb") is None:
    pytest.skip("needs the extra 'mteb'", allow_module_level=True)

mteb = mteb_tasks._import_mteb()

from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402

RIGHT = word_model({"cat": [1, 0], "lynx": [0.9, 0.1], "dog": [0.6, 0.4], "car": [0, 1]})
SWAPPED = word_model({"cat": [1, 0], "lynx": [0.6, 0.4], "dog": [0.9, 0.1], "car": [0, 1]})
REVISIONS = {"teacher": "sha256:aa", "student": "sha256:bb"}


def metadata(name: str, kind: Any, main_score: str, **more: Any) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="For tests.",
        type=kind,
        main_score=main_score,
        dataset={"path": "tests/toy", "revision": "1234567"},
        **{"eval_langs": ["eng-Latn"], **more},
    )


class ToySTS(AbsTaskSTS):
    """The score of every pair follows its cosine in RIGHT; SWAPPED has the first two the wrong way round."""

    metadata = metadata("ToySTS", "STS", "cosine_spearman")
    loads: ClassVar[list[str]] = []

    def load_data(self, **kwargs: Any) -> None:
        self.loads.append("loaded")
        pairs = {"sentence1": ["cat"] * 3, "sentence2": ["lynx", "dog", "car"], "score": [5.0, 3.0, 1.0]}
        self.dataset = DatasetDict({"test": Dataset.from_dict(pairs)})
        self.data_loaded = True


class ToyLanguages(AbsTaskSTS):
    """Two subsets: in the second, the scores fall where they rise in the first."""

    metadata = metadata(
        "ToyLanguages", "STS", "cosine_spearman", eval_langs={"en": ["eng-Latn"], "de": ["deu-Latn"]}
    )

    def load_data(self, **kwargs: Any) -> None:
        pairs = {"sentence1": ["cat"] * 3, "sentence2": ["lynx", "dog", "car"]}
        self.dataset = {
            subset: DatasetDict({"test": Dataset.from_dict({**pairs, "score": scores})})
            for subset, scores in (("en", [5.0, 3.0, 1.0]), ("de", [1.0, 3.0, 5.0]))
        }
        self.data_loaded = True


class ToyRetrieval(AbsTaskRetrieval):
    """The only relevant document is nearest in RIGHT and second in SWAPPED."""

    metadata = metadata("ToyRetrieval", "Retrieval", "ndcg_at_10")

    def load_data(self, **kwargs: Any) -> None:
        documents = [{"id": word, "text": word, "title": ""} for word in ("lynx", "dog", "car")]
        part = {
            "corpus": Dataset.from_list(documents),
            "queries": Dataset.from_list([{"id": "q", "text": "cat"}]),
            "relevant_docs": {"q": {"lynx": 1}},
            "top_ranked": None,
        }
        self.dataset = {"default": {"test": part}}
        self.data_loaded = True


class Unreachable(AbsTaskSTS):
    metadata = metadata("Unreachable", "STS", "cosine_spearman")

    def load_data(self, **kwargs: Any) -> None:
        raise ConnectionError("no network")


@pytest.fixture(autouse=True)
def known_to_mteb(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["mteb.get_tasks"]
    toys = (ToySTS, ToyLanguages, ToyRetrieval, Unreachable)
    monkeypatch.setattr(module, "TASK_LIST", (*module.TASK_LIST, *toys))
    ToySTS.loads.clear()


def measure(
    folder: Path,
    *tasks: str,
    student: SentenceTransformer = SWAPPED,
    revisions: dict[str, str] = REVISIONS,
) -> Findings:
    findings = Findings(resamples=100, seed=1, reproduce="hubdistill evaluate")
    measure_mteb(findings, [("teacher", RIGHT), ("student", student)], tasks, folder, revisions=revisions)
    return findings


def values(findings: Findings) -> dict[str, float]:
    return {m.model: m.value for m in findings.measurements}


def test_the_main_score_is_the_tasks_own(tmp_path: Path) -> None:
    assert values(measure(tmp_path, "ToySTS")) == {"teacher": 1.0, "student": 0.5}  # 1 - 6 * 2 / (3 * 8)


def test_a_retrieval_task_runs_the_same_way(tmp_path: Path) -> None:
    found = values(measure(tmp_path, "ToyRetrieval"))
    # mteb rounds to five decimals.
    assert found == {"teacher": 1.0, "student": pytest.approx(1 / math.log2(3), abs=5e-6)}


def test_subsets_are_averaged(tmp_path: Path) -> None:
    findings = measure(tmp_path, "ToyLanguages")
    assert values(findings) == {"teacher": 0.0, "student": 0.0}
    assert findings.data["ToyLanguages"].n == 2


def test_the_data_says_which_task_of_which_revision(tmp_path: Path) -> None:
    data = measure(tmp_path, "ToySTS").data["ToySTS"]
    assert (data.kind, data.source, data.hub_id, data.split) == ("benchmark", "mteb", "tests/toy", "test")
    assert data.revision == "1234567"
    assert len(data.sha256) == 64


def test_items_are_counted_by_mtebs_statistics() -> None:
    known = {task.metadata.name: task.metadata for task in sys.modules["mteb.get_tasks"].TASK_LIST}
    assert mteb_tasks._size(known["STSBenchmark"]) == (1379, None)
    assert mteb_tasks._size(known["NFCorpus"]) == (323, 3633)
    assert len(mteb_tasks._parts(known["CQADupstackRetrieval"])) == 12


def test_a_report_shows_student_beside_teacher_without_a_comparison(tmp_path: Path) -> None:
    report = static_report()
    findings = Findings(resamples=100, seed=1, reproduce="hubdistill evaluate")
    models = [(report.teacher, RIGHT), (report.student, SWAPPED)]
    revisions = {name: report.models[name].revision for name, _ in models}
    measure_mteb(findings, models, ["ToySTS"], tmp_path, revisions=revisions)
    filled = report.model_copy(
        update={
            "data": {**report.data, **findings.data},
            "metrics": {**report.metrics, **findings.metrics},
            "measurements": (*report.measurements, *findings.measurements),
        }
    )
    [result] = [one for one in results(filled, "benchmark") if one.data.title == "ToySTS"]
    assert (result.student.value, result.teacher.value) == (0.5, 1.0)
    assert result.student.parameters == {"main_score": "cosine_spearman"}
    assert result.comparison is None


def test_a_second_run_reads_what_is_there(tmp_path: Path) -> None:
    first, second = measure(tmp_path, "ToySTS"), measure(tmp_path, "ToySTS")
    assert ToySTS.loads == ["loaded"]  # Once, for both models.
    assert (first.data, first.measurements) == (second.data, second.measurements)


def test_another_revision_of_a_student_is_measured_and_kept_apart(tmp_path: Path) -> None:
    measure(tmp_path, "ToySTS")
    found = values(measure(tmp_path, "ToySTS", student=RIGHT, revisions={**REVISIONS, "student": "cc"}))
    assert found == {"teacher": 1.0, "student": 1.0}
    assert values(measure(tmp_path, "ToySTS")) == {"teacher": 1.0, "student": 0.5}
    assert len(ToySTS.loads) == 2


def test_a_model_with_other_prompts_is_measured_anew(tmp_path: Path) -> None:
    measure(tmp_path, "ToySTS")
    prompted = word_model({"cat": [1, 0], "lynx": [1, 0.1], "dog": [0.6, 0.4], "car": [0, 1], "is": [0, 9]})
    prompted.prompts = {"STS": "is "}
    measure(tmp_path, "ToySTS", student=prompted)
    assert len(ToySTS.loads) == 2


def test_results_of_other_data_or_of_another_mteb_are_not_taken(tmp_path: Path) -> None:
    measure(tmp_path, "ToySTS")
    for key, other in (("dataset_revision", "7654321"), ("mteb_version", "2.0.0")):
        path = result_file(tmp_path, "student")
        result = json.loads(path.read_text())
        result[key] = other
        result["scores"]["test"][0]["main_score"] = 0.125
        path.write_text(json.dumps(result))
        assert values(measure(tmp_path, "ToySTS")) == {"teacher": 1.0, "student": 0.5}


def test_a_broken_result_file_is_measured_anew(tmp_path: Path) -> None:
    measure(tmp_path, "ToySTS")
    path = result_file(tmp_path, "student")
    path.write_text(path.read_text()[:100])
    assert values(measure(tmp_path, "ToySTS")) == {"teacher": 1.0, "student": 0.5}


def test_a_subset_that_an_interrupted_run_left_out_is_added(tmp_path: Path) -> None:
    measure(tmp_path, "ToyLanguages")
    path = result_file(tmp_path, "student")
    result = json.loads(path.read_text())
    [kept] = [score for score in result["scores"]["test"] if score["hf_subset"] == "en"]
    kept["main_score"] = 0.25  # To be told from a new measurement.
    result["scores"]["test"] = [kept]
    path.write_text(json.dumps(result))
    assert values(measure(tmp_path, "ToyLanguages"))["student"] == (0.25 - 0.5) / 2


def result_file(folder: Path, model: str) -> Path:
    [path] = folder.glob(f"results/{model}/**/Toy*.json")
    return path


def test_nothing_else_changes(tmp_path: Path) -> None:
    def states() -> tuple[object, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    before = states()
    measure(tmp_path, "ToySTS")
    check_mteb(["STSBenchmark"])
    assert states() == before
    # mteb's default folder is what it would be without us, though it was not made.
    default = mteb.evaluate.__kwdefaults__["cache"]
    assert default.cache_path == default.default_cache_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("STSBenchmrk", "did you mean STSBenchmark or"),
        ("qqqqqqqqqq", "mteb has no task 'qqqqqqqqqq'$"),
        ("MTEB(eng, v2)", "is a whole benchmark"),
        ("VisualSTS17Eng", "is of image"),
    ],
)
def test_a_task_that_cannot_be_measured_is_refused_before_any_work(name: str, said: str) -> None:
    check_mteb(["STSBenchmark", "NFCorpus"])
    with pytest.raises(EvaluationError, match=said):
        check_mteb(["STSBenchmark", name])


def test_data_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"Unreachable \(tests/toy\) cannot be loaded: no network"):
        measure(tmp_path, "Unreachable")


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_an_undefined_score_is_said(tmp_path: Path) -> None:
    constant = word_model({word: [1, 1] for word in ("cat", "lynx", "dog", "car")})
    with pytest.raises(EvaluationError, match=r"ToySTS: cosine_spearman of student is undefined"):
        measure(tmp_path, "ToySTS", student=constant)


def test_without_mteb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match=r"Running MTEB tasks needs the extra 'mteb'"):
        check_mteb(["STSBenchmark"])
