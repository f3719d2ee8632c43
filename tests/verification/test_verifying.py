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
from hubdistill.errors import ReportError, TeacherError
from hubdistill.report import load_report
from hubdistill.verification.outcome import CheckedClaim, Verification
from hubdistill.verification.published import load_reference
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
    assert (wrong(found), found.problems) == ([], ())
    assert not found.empty
    assert (found.student, found.teacher, found.model) == (STUDENT, TEACHER, STUDENT)
    assert set(found.counts) <= {"same", "holds", "not run"}
    # Whatever the load of this machine, nothing but speed may be in doubt.
    assert {one.data for one in found.claims if one.verdict != "same"} == {"speed"}
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
    assert json.loads(json.dumps(found.to_dict()))["failed"] is False


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


def test_another_score_shows_in_the_figures(here: Path) -> None:
    change(here, unchanged)
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
