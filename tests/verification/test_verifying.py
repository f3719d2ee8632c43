"""A real student with a real report: untouched it holds, and whatever is changed by hand is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from verification.published_student import STUDENT, TEACHER

from hubdistill.card import write_card
from hubdistill.errors import EvaluationError, ReportError, TeacherError
from hubdistill.report import load_report
from hubdistill.verification.consistency import NOT_CHECKED
from hubdistill.verification.inputs import check_dataset_id, read_inputs
from hubdistill.verification.local_data import LocalData
from hubdistill.verification.outcome import CheckedClaim, Verification
from hubdistill.verification.published import check_weights, load_reference, note_on_other_weights
from hubdistill.verification.verifying import verify

Json = dict[str, Any]
WEIGHTS = "model.safetensors"
LIGHT: Json = {"retrieval": [], "truncate": [], "quantize": [], "speed": None}
"""Settings of a report without what most tests need not measure again."""


@pytest.fixture
def here(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "here"))


def check(here: Path, **options: Any) -> Verification:
    """Verify the student; with its teacher and its data where nothing else is said."""
    places: Json = {"teacher": str(here / TEACHER), "data": [here / "data"], "speed": False, "device": "cpu"}
    return verify(str(here / STUDENT), **places | options)


def change(here: Path, edit: Callable[[Json], object], *, light: bool = True) -> None:
    """Change the report by hand, and have the card say the same."""
    path = here / STUDENT / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    if light:
        report["plan"]["settings"].update(LIGHT)
        report["measurements"] = [m for m in report["measurements"] if is_light(m)]
        report["comparisons"] = [c for c in report["comparisons"] if is_light(c)]
    edit(report)
    path.write_text(json.dumps(report), encoding="utf-8")
    (here / STUDENT / "README.md").unlink()
    write_card(here / STUDENT)


def is_light(one: Json) -> bool:
    variant = one["parameters"].keys() & {"dimensions", "precision"} or one["model"] == one.get("against")
    return one["data"] in ("held-out", "held-out-retrieval", "sts") and not variant


def unchanged(_: Json) -> None:
    """The report without what is not light."""


def figure(report: Json, metric: str, model: str = STUDENT, data: str = "sts") -> Json:
    found: Json = next(
        m
        for m in report["measurements"]
        if (m["metric"], m["model"], m["data"]) == (metric, model, data) and m["parameters"].keys() <= {"k"}
    )
    return found


def comparison(report: Json, metric: str) -> Json:
    found: Json = next(c for c in report["comparisons"] if (c["metric"], c["data"]) == (metric, "sts"))
    return found


def wrong(found: Verification) -> list[tuple[str, str, str]]:
    return [(one.figure, one.model, one.data) for one in found.claims if one.verdict == "differs"]


def absent(found: Verification, data: str) -> set[str]:
    return {one.why for one in found.claims if one.data == data and one.verdict == "not run"}


def of(found: Verification, data: str) -> list[CheckedClaim]:
    return [one for one in found.claims if one.data == data and one.source == "report"]


def test_what_was_measured_is_the_same_again(here: Path) -> None:
    found = check(here, speed=True)
    # How fast a busy machine is says nothing.
    costs = [one for one in found.claims if one.data == "speed"]
    assert ([one for one in wrong(found) if one[2] != "speed"], found.problems) == ([], ())
    assert not found.empty
    assert (found.student, found.teacher, found.model) == (STUDENT, TEACHER, STUDENT)
    assert {one.verdict for one in found.claims if one not in costs} == {"same"}
    assert {one.data for one in found.claims} >= {"", "sts", "tiny", "held-out", "held-out-retrieval"}
    figures = {one.figure for one in found.claims}
    assert {
        "parameters",
        "bytes",
        "spearman_cosine",
        "kept spearman_cosine",
        "precision_at_k[k=3]",
    } <= figures
    assert {"ndcg_at_10[dimensions=16]", "ndcg_at_10[documents=teacher]"} <= figures
    assert "speedup[tokens=8, batch_size=4]" in figures
    assert all(one.measured is not None for one in costs)
    assert json.loads(json.dumps(found.to_dict()))["failed"] is found.failed


def test_a_sample_holds(here: Path) -> None:
    found = check(here, quick=True)
    assert (wrong(found), found.problems) == ([], ())
    assert {one.verdict for one in of(found, "sts") if not one.variant} == {"holds"}
    assert {one.verdict for one in of(found, "held-out") if not one.variant} == {"holds"}
    assert absent(found, "tiny") == {"needs the whole collection; leave out --quick"}
    assert {one.verdict for one in of(found, "")} == {"same"}


@pytest.fixture(scope="module")
def tampered(published: Path, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str]]:
    """What is found wrong of a report in which each of the changes below was made, each to another figure."""
    here = Path(shutil.copytree(published, tmp_path_factory.mktemp("tampered") / "here"))

    def edit(report: Json) -> None:
        # Inside its interval, and beyond.
        figure(report, "pearson_dot")["value"] += 0.002
        figure(report, "spearman_dot")["value"] = 0.999
        figure(report, "pearson_cosine", TEACHER)["value"] -= 0.002
        # A narrower interval, and none.
        interval = figure(report, "pearson_euclidean")["interval"]
        interval["low"] += (interval["high"] - interval["low"]) / 20
        figure(report, "spearman_euclidean")["interval"] = None
        figure(report, "pearson_manhattan")["n"] = 1000
        # Said twice, once rightly.
        twice = figure(report, "spearman_manhattan")
        report["measurements"].append({**twice, "value": twice["value"] + 0.002})
        comparison(report, "spearman_cosine")["kept"] += 0.002
        comparison(report, "pearson_cosine")["difference"] += 0.002
        comparison(report, "pearson_euclidean")["kept_interval"]["low"] += 0.01
        figure(report, "teacher_cosine", data="held-out")["value"] += 0.001
        figure(report, "mse", data="held-out")["value"] *= 0.99
        comparison(report, "spearman_dot")["interval"]["level"] = 0.999
        comparison(report, "spearman_manhattan")["kept_interval"]["method"] = "exact"
        figure(report, "pearson_manhattan", TEACHER)["interval"]["level"] = 0.99
        # What nobody measured.
        report["measurements"].append({**figure(report, "spearman_cosine"), "parameters": {"dimensions": 4}})
        report["models"][STUDENT]["architecture"]["parameters"] -= 1

    change(here, edit)
    return set(wrong(check(here)))


TAMPERED = {
    ("pearson_dot", STUDENT, "sts"),
    ("spearman_dot", STUDENT, "sts"),
    ("pearson_cosine", TEACHER, "sts"),
    ("pearson_euclidean", STUDENT, "sts"),
    ("spearman_euclidean", STUDENT, "sts"),
    ("pearson_manhattan", STUDENT, "sts"),
    ("spearman_manhattan", STUDENT, "sts"),
    ("kept spearman_cosine", STUDENT, "sts"),
    ("difference pearson_cosine", STUDENT, "sts"),
    ("kept pearson_euclidean", STUDENT, "sts"),
    ("difference spearman_dot", STUDENT, "sts"),
    ("kept spearman_manhattan", STUDENT, "sts"),
    ("pearson_manhattan", TEACHER, "sts"),
    ("teacher_cosine", STUDENT, "held-out"),
    ("mse", STUDENT, "held-out"),
    ("spearman_cosine[dimensions=4]", STUDENT, "sts"),
    ("parameters", STUDENT, ""),
}


@pytest.mark.parametrize("expected", sorted(TAMPERED))
def test_a_figure_changed_by_hand_is_found(
    tampered: set[tuple[str, str, str]], expected: tuple[str, str, str]
) -> None:
    assert expected in tampered


def test_nothing_else_is_found(tampered: set[tuple[str, str, str]]) -> None:
    assert tampered == TAMPERED


@pytest.mark.parametrize(
    ("name", "lie", "said"),
    [
        ("sts", {"title": "STS17", "hub_id": "mteb/sts17", "revision": "a" * 40}, 3),
        ("sts", {"source": "mteb/sts17", "language": "de", "split": "test", "config": "en-de"}, 4),
        ("sts", {"kind": "benchmark", "benchmark_task": "STS17"}, 2),
        ("held-out", {"title": "All of Wikipedia", "source": "held-out part of the corpus", "n": 5000}, 3),
        ("held-out-retrieval", {"hub_id": "mteb/nq", "made_queries": "by people", "documents": 10**6}, 3),
    ],
)
def test_data_that_is_not_what_the_report_says(here: Path, name: str, lie: Json, said: int) -> None:
    change(here, lambda report: report["data"][name].update(lie))
    problems = [one for one in check(here).problems if one.place == f"report.json, data.{name}"]
    assert len(problems) == said
    first, value = next(iter(lie.items()))
    assert problems[0].text.startswith(f"says {first}: {value!r}")


def test_figures_that_a_report_leaves_out(here: Path) -> None:
    def leave_out(report: Json) -> None:
        for part in ("measurements", "comparisons"):
            report[part] = [one for one in report[part] if one["metric"] != "spearman_cosine"]

    change(here, leave_out)
    (problem,) = check(here).problems
    assert problem.text.startswith(
        "leaves out 4 figures that its own plan measures: spearman_cosine of teacher"
    )
    assert check(here, quick=True).problems == ()
    change(here, lambda report: report.update(hubdistill_version="0.0.1"), light=False)
    assert check(here).problems == ()


def test_files_that_a_model_does_not_need_are_a_note(here: Path) -> None:
    (here / STUDENT / "requirements.txt").write_text("sentence-transformers\n", encoding="utf-8")
    (here / STUDENT / "notes.json").write_text("{}", encoding="utf-8")
    found = check(here, quick=True)
    assert (wrong(found), found.problems) == ([], ())
    assert any(note.endswith("not weighed: notes.json and requirements.txt") for note in found.notes)
    (here / STUDENT / "vocab.txt").write_text("more", encoding="utf-8")
    assert ("bytes", STUDENT, "") in wrong(check(here, quick=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_teacher_computes_as_it_did(here: Path, dtype: str) -> None:
    change(here, lambda report: report["models"][TEACHER].update(dtype=dtype))
    report = load_report(here / STUDENT)
    assert report.plan is not None
    found = load_reference(
        report, report.plan, str(here / TEACHER), base=here, device="cpu", trust_remote_code=False
    )
    assert found.facts.dtype == dtype


def test_facts_that_cannot_be_true(here: Path) -> None:
    def lie(report: Json) -> None:
        report["metrics"]["spearman_cosine"].update(title="Accuracy", reference="GLUE")
        report["models"][TEACHER]["hub_id"] = "BAAI/bge-m3"
        report["models"][STUDENT]["architecture"]["kept_layers"] = [0, 1, 2]

    change(here, lie)
    assert {(one.place, one.text[:20]) for one in check(here, quick=True).problems} == {
        ("report.json, metrics.spearman_cosine", "says title: 'Accurac"),
        ("report.json, metrics.spearman_cosine", "says reference: 'GLU"),
        ("report.json, models.teacher", "is named 'teacher', "),
        ("report.json, models.student", "says 2 layers, and k"),
    }


def test_what_is_taken_on_trust_is_said(here: Path) -> None:
    change(here, lambda report: report["plan"]["teacher"].update(prompt="query: ", max_length=64))
    notes = check(here, quick=True).notes
    assert "teacher was measured with the prompt 'query: ' and at most 64 tokens, as the plan says" in notes
    assert NOT_CHECKED in notes


@pytest.mark.parametrize("dataset", ["text", "csv", "parquet", "imagefolder", "../text", "/etc/passwd"])
def test_a_loader_of_local_files_is_no_data_set_of_the_hub(dataset: str) -> None:
    with pytest.raises(EvaluationError, match="is no"):
        check_dataset_id(dataset)


def test_metadata_nested_too_deep_does_not_stop_it(here: Path) -> None:
    card = here / STUDENT / "README.md"
    deep = "[" * 3000 + "]" * 3000
    card.write_text(
        card.read_text(encoding="utf-8").replace("---\n", f"---\na: {deep}\n", 1), encoding="utf-8"
    )
    found = check(here, quick=True)
    assert {one.place for one in found.problems} == {"README.md"}


@pytest.mark.parametrize("model", [STUDENT, TEACHER])
def test_other_weights_are_found(here: Path, model: str) -> None:
    change(here, unchanged)
    weights = load_file(here / model / WEIGHTS)
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = weights[name] * 1.1 + 0.1
    save_file(weights, here / model / WEIGHTS, metadata={"format": "pt"})
    found = check(here)
    (problem,) = found.problems
    assert "are not the weights that were measured as" in problem.text
    assert model in problem.text
    assert ("spearman_cosine", model, "sts") in wrong(found)
    # The other one's own figures stay.
    assert {one for _, one, data in wrong(found) if data == "sts"} == {STUDENT, model}


def test_a_copy_beside_other_weights_is_no_excuse(here: Path) -> None:
    change(here, unchanged)
    shutil.copy(here / STUDENT / WEIGHTS, here / STUDENT / "measured.safetensors")
    recorded = load_report(here / STUDENT).models[STUDENT]
    # Weights that are not loaded change nothing.
    assert check_weights(here / STUDENT, recorded, "", WEIGHTS) == (None, "")
    weights = load_file(here / STUDENT / WEIGHTS)
    save_file({name: one * 1.1 for name, one in weights.items()}, here / STUDENT / WEIGHTS)
    problem, _ = check_weights(here / STUDENT, recorded, "", WEIGHTS)
    assert problem is not None


def test_weights_beside_those_that_are_loaded_are_told(here: Path) -> None:
    folder = here / STUDENT
    assert note_on_other_weights(folder) == ""
    change(here, unchanged)
    (folder / "pytorch_model.bin").write_bytes(b"other")
    assert (
        "other weights than those that were measured lie beside them, and were not loaded: pytorch_model.bin"
        in check(here).notes
    )


def test_weights_in_several_files_are_those_that_the_index_names(here: Path) -> None:
    folder = here / STUDENT
    (folder / WEIGHTS).rename(folder / "model-1.safetensors")
    shutil.copy(folder / "model-1.safetensors", folder / "other.safetensors")
    recorded = load_report(folder).models[STUDENT]
    assert check_weights(folder, recorded, "", WEIGHTS)[0] is not None
    index = {"weight_map": {"a": "model-1.safetensors", "b": "../outside", "c": "model-1.safetensors"}}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert check_weights(folder, recorded, "", WEIGHTS)[0] is None


def test_weights_that_do_not_load_are_a_problem_and_not_the_end(here: Path) -> None:
    (here / STUDENT / WEIGHTS).write_bytes(b"no weights")
    found = check(here)
    assert [problem.place for problem in found.problems] == [WEIGHTS, STUDENT]
    assert {one.why for one in of(found, "sts")} == {"the model cannot be loaded"}


def test_other_texts_are_not_measured_on(here: Path) -> None:
    change(here, unchanged)
    path = here / "data" / "sets" / "pairs.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("word3 ", "word4 ", 1), encoding="utf-8")
    found = check(here)
    assert (wrong(found), found.problems) == ([], ())
    (reason,) = absent(found, "sts")
    assert reason.startswith("other texts: sha256 ")
    assert {one.verdict for one in of(found, "held-out")} == {"same"}


def test_other_scores_and_judgements_of_the_same_texts_are_not_measured_on(here: Path) -> None:
    pairs, qrels = (here / "data" / "sets" / name for name in ("pairs.tsv", "tiny/qrels.tsv"))
    first, second, *rest = pairs.read_text(encoding="utf-8").splitlines()
    pairs.write_text("\n".join([first, f"0.5{second[4:]}", *rest]) + "\n", encoding="utf-8")
    qrels.write_text(qrels.read_text(encoding="utf-8").replace("q3\tc3\t1", "q3\tc4\t1"), encoding="utf-8")
    found = check(here)
    (reason,) = absent(found, "sts")
    assert reason.startswith("other scores: sha256 ")
    (reason,) = absent(found, "tiny")
    assert reason.startswith("other judgements: sha256 ")
    assert (wrong(found), found.problems) == ([], ())


def test_of_several_files_of_one_name_the_one_that_was_measured_on_is_taken(here: Path) -> None:
    change(here, unchanged)
    path = here / "data" / "sets" / "pairs.tsv"
    for name, old in (("a", "word3 "), ("z", "word5 ")):
        (here / "data" / name).mkdir()
        other = path.read_text(encoding="utf-8").replace(old, "word4 ", 1)
        (here / "data" / name / "pairs.tsv").write_text(other, encoding="utf-8")
    folders = [here / "data" / name for name in ("a", "sets", "z")]
    found = check(here, data=folders, quick=True)
    assert wrong(found) == []
    assert {one.verdict for one in of(found, "sts") if not one.variant} == {"holds"}
    path.unlink()
    (reason,) = absent(check(here, data=folders, quick=True), "sts")
    assert "pairs.tsv is there 2 times" in reason


def test_another_score_shows_in_the_figures_of_a_report_that_has_no_hash_of_the_scores(here: Path) -> None:
    change(here, lambda report: report["data"]["sts"].update(labels_sha256=None))
    path = here / "data" / "sets" / "pairs.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] = "9.9" + lines[1][lines[1].index("\t") :]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert ("spearman_cosine", STUDENT, "sts") in wrong(check(here))


def test_without_data_nothing_of_this_machine_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "data")
    found = check(here, data=[])
    assert (wrong(found), found.problems) == ([], ())
    assert found.empty
    assert found.checked > 0
    for data in ("sts", "tiny", "held-out"):
        (reason,) = absent(found, data)
        assert "--data" in reason


def test_one_missing_set_does_not_stop_the_others(here: Path) -> None:
    shutil.rmtree(here / "data" / "sets" / "tiny")
    (here / "data" / "texts.txt").unlink()
    found = check(here)
    assert (wrong(found), found.problems) == ([], ())
    assert {one.verdict for one in of(found, "sts")} == {"same"}
    for data in ("tiny", "held-out", "held-out-retrieval"):
        (reason,) = absent(found, data)
        assert "--data" in reason


def test_without_a_teacher_the_student_is_still_measured(here: Path) -> None:
    found = check(here, teacher=None)
    assert (wrong(found), found.problems) == ([], ())
    verdicts = {
        (one.model, one.verdict) for one in of(found, "sts") if not one.figure.startswith(("kept", "diff"))
    }
    assert verdicts == {(STUDENT, "same"), (TEACHER, "not run")}
    (reason,) = absent(found, "sts")
    assert (
        reason == "needs the teacher: 'teacher' was a folder of its author's machine; --teacher names a copy"
    )
    assert {one.verdict for one in of(found, "held-out")} == {"not run"}


def test_the_teacher_goes_by_the_name_in_the_report(here: Path) -> None:
    report = load_report(here / STUDENT)
    assert report.plan is not None
    renamed = shutil.move(here / TEACHER, here / "another name")
    found = load_reference(
        report, report.plan, str(renamed), base=here, device="cpu", trust_remote_code=False
    )
    assert (found.name, found.facts.name) == (TEACHER, TEACHER)


def test_held_out_texts_can_be_handed_over(here: Path) -> None:
    change(here, lambda report: report["plan"].update({"texts": "script", "sources": []}))
    (reason,) = absent(check(here), "held-out")
    assert "--texts" in reason
    found = check(here, texts=[here / "data" / "texts.txt"])
    assert {one.verdict for one in of(found, "held-out")} == {"same"}


def test_a_report_that_reaches_for_this_machine_gets_nothing(here: Path) -> None:
    (here / "away").mkdir()
    shutil.move(here / "data" / "sets" / "pairs.tsv", here / "away" / "pairs.tsv")
    shutil.move(here / "data" / "sets" / "tiny", here / "away" / "tiny")

    def reach(report: Json) -> None:
        settings = report["plan"]["settings"]
        settings["similarity"][0]["files"] = [str(here / "away" / "pairs.tsv")]
        settings["retrieval"] = [{"name": "tiny", "folder": "../away/tiny"}]
        settings["make_queries"] = {"method": "model", "model": str(here / TEACHER)}
        settings["index"] = "http://127.0.0.1:9"
        report["plan"]["teacher"]["model"] = str(here / TEACHER)
        report["plan"]["teacher"]["trust_remote_code"] = True
        report["models"][TEACHER]["hub_id"] = str(here / TEACHER)

    change(here, reach)
    found = check(here, teacher=None)
    assert {one.verdict for one in of(found, "sts")} == {"not run"}
    assert all("pairs.tsv is not in" in reason for reason in absent(found, "sts"))
    assert all("is no Hub id" in reason for reason in absent(found, "held-out"))
    assert found.empty


def test_a_report_that_asks_for_too_much_is_refused(here: Path) -> None:
    change(here, lambda report: report["plan"]["settings"].update(bootstrap=10**9))
    with pytest.raises(ReportError, match="bootstrap: 1000000000"):
        check(here)


@pytest.mark.parametrize(
    ("asked", "data", "reason"),
    [
        (
            {"speed": {"tokens": [8, 16], "seconds": 60, "repeats": 6}},
            "speed",
            "asks for 720 s of each model",
        ),
        ({"speed": {"batch_sizes": [10**6]}}, "speed", "in batches of up to 1,000,000"),
        ({"speed": {"calls": 9_999}}, "speed", "asks for 29,997 single calls"),
        ({"held_out_texts": 10**6}, "held-out", "asks for 1,000,000 held-out texts"),
    ],
)
def test_what_would_take_too_long_is_left_out(here: Path, asked: Json, data: str, reason: str) -> None:
    def ask(report: Json) -> None:
        report["plan"]["settings"].update(LIGHT | asked)

    change(here, ask, light=False)
    found = check(here, speed=True)
    assert all(reason in one for one in absent(found, data))
    assert absent(found, data)
    assert {one.verdict for one in of(found, "sts") if not one.variant} == {"same"}


def test_a_graph_that_is_searched_too_deep_is_left_out(here: Path) -> None:
    change(here, lambda report: report["plan"]["settings"].update(hnsw_ef=[64, 10**9]))
    report = load_report(here / STUDENT)
    assert report.plan is not None
    inputs = read_inputs(report, report.plan, LocalData([here / "data"]), (), quick=False, work=here)
    assert inputs.settings.hnsw_ef == ()
    assert "asks for hnsw_ef: 1000000000" in inputs.unavailable["ann_recall_at_k"]


def test_a_report_without_a_plan_says_so(here: Path) -> None:
    change(here, lambda report: report.update(plan=None))
    with pytest.raises(ReportError, match="evaluate and publish the model anew"):
        check(here)


def test_a_card_that_is_changed_by_hand_is_found(here: Path) -> None:
    change(here, unchanged)
    card = here / STUDENT / "README.md"
    text = card.read_text(encoding="utf-8")
    value = next(line for line in text.splitlines() if "value: 0." in line).strip()
    card.write_text(text.replace(value, "value: 0.9999", 1), encoding="utf-8")
    found = check(here)
    assert [one.source for one in found.claims if one.verdict == "differs"] == ["card"]
    card.unlink()
    assert [problem.place for problem in check(here).problems] == ["README.md"]


def test_a_model_that_claims_nothing(here: Path) -> None:
    for name in ("report.json", "README.md"):
        (here / STUDENT / name).unlink()
    with pytest.raises(ReportError, match="it claims nothing"):
        check(here)
    with pytest.raises(TeacherError, match="there is no folder"):
        verify(str(here / "no such model"))
