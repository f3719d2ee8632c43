"""Gates: how they are written, how a report is held against them, and that a push obeys them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import REPORT, WRITE, push
from huggingface_hub import HfApi
from typer.testing import CliRunner

from hubdistill.cli.app import app
from hubdistill.conditions import Condition, NoRegression, parse_condition
from hubdistill.errors import GateError, RecipeError, ReportError
from hubdistill.hub import PushOutcome
from hubdistill.hub.gates import GateCheck, judge, parse_gates, refuse_unmet
from hubdistill.localhub.server import LocalHub
from hubdistill.recipe_file import parse_recipe
from hubdistill.report import DistillationReport, Interval, Measurement, Value

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

Push = Callable[..., PushOutcome]

STUDENT, TEACHER, SIBLING = REPORT.student, REPORT.teacher, REPORT.siblings[0]


def measured(
    metric: str,
    value: float,
    model: str = STUDENT,
    *,
    data: str = "stsb",
    against: str | None = None,
    spread: float | None = 0.01,
    **parameters: Value,
) -> Measurement:
    """A measurement with an interval as wide as `spread` on each side."""
    interval = Interval(low=value - spread, high=value + spread, method="bootstrap") if spread else None
    return Measurement(
        metric=metric,
        model=model,
        value=value,
        data=data,
        n=100,
        against=against,
        parameters=parameters,
        interval=interval,
        reproduce="again",
    )


def report_of(*measurements: Measurement) -> DistillationReport:
    return REPORT.model_copy(update={"measurements": measurements, "comparisons": ()})


FIGURES = report_of(
    measured("spearman_cosine", 0.78, model=STUDENT),
    measured("spearman_cosine", 0.82, model=TEACHER),
    measured("spearman_cosine", 0.60, model=STUDENT, dimensions=128),
    measured("spearman_cosine", 0.70, model=TEACHER, dimensions=128),
    measured("spearman_cosine", 0.77, model=STUDENT, precision="int8"),
    measured("ndcg_at_10", 0.4, data="cranfield"),
    measured("ndcg_at_10", 0.5, TEACHER, data="cranfield"),
    measured("ndcg_at_10", 0.45, data="cranfield", documents=TEACHER),
    measured("precision_at_k", 0.65, against=TEACHER, data="neighbours", k=10),
    measured("precision_at_k", 0.75, against=TEACHER, data="neighbours", k=20),
    measured("precision_at_k", 0.10, against=SIBLING, data="neighbours", k=10),
    measured("speedup", 2.5, against=TEACHER, data="speed", spread=None, tokens=16, batch_size=32),
    measured("speedup", 1.5, against=TEACHER, data="speed", spread=None, tokens=64, batch_size=32),
    measured("teacher_cosine", 0.9, against=TEACHER, data="held-out"),
    measured("teacher_cosine", 0.8, against=TEACHER, data="stsb"),
)


def checks(gate: str, report: DistillationReport = FIGURES) -> tuple[GateCheck, ...]:
    (result,) = judge(report, parse_gates([gate]))
    assert result.gate == gate
    assert result.met == all(check.met for check in result.checks)
    return result.checks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("speedup >= 2", ("speedup", None, {}, ">=", 2.0, False)),
        ("speedup[tokens=64]>2.5", ("speedup", None, {"tokens": "64"}, ">", 2.5, False)),
        ("a@b<=-1e-3", ("a", "b", {}, "<=", -0.001, False)),
        ("a @ b >= 0.95*teacher", ("a", "b", {}, ">=", 0.95, True)),
        ("a@b >= teacher * .95", ("a", "b", {}, ">=", 0.95, True)),
        ("a@b > teacher", ("a", "b", {}, ">", 1.0, True)),
        ("a@STS Benchmark (test) >= 0.5", ("a", "STS Benchmark (test)", {}, ">=", 0.5, False)),
        ("a@b[k=10, precision=int8] < 1", ("a", "b", {"k": "10", "precision": "int8"}, "<", 1.0, False)),
        ("a[k=10]@b[ef=64] < 1", ("a", "b", {"k": "10", "ef": "64"}, "<", 1.0, False)),
    ],
)
def test_conditions_are_read(text: str, expected: tuple[object, ...]) -> None:
    found = parse_condition(f"  {text} ")
    assert isinstance(found, Condition)
    assert found.text == text
    assert (
        found.metric,
        found.data,
        found.parameters,
        found.sign,
        found.limit,
        found.of_teacher,
    ) == expected


def test_no_regression_is_a_condition() -> None:
    assert parse_condition("no_regression") == NoRegression()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a condition; write for example `spearman_cosine@stsb-test >= 0.95"),
        ("no_regresion", "not a condition"),
        ("speedup", "not a condition"),
        ("speedup == 2", "not a condition"),
        ("a >= b >= 2", "not a condition"),
        ("@stsb >= 2", "not a condition"),
        ("a@[k=3] >= 2", "not a condition"),
        ("speedup >= 2x", "'2x' is not a limit"),
        ("speedup >= 95%", "'95%' is not a limit"),
        ("speedup >= 0.9*student", "is not a limit"),
        ("speedup >= nan", "is not a limit"),
        ("speedup >= 1e999", "is not a limit"),
        ("speedup[tokens] >= 2", r"'\[tokens\]' does not name parameters"),
        ("speedup[] >= 2", r"'\[\]' does not name parameters"),
    ],
)
def test_what_is_no_condition_is_told_with_an_example(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_condition(text)
    with pytest.raises(GateError, match="the gate "):
        parse_gates([text])


def test_share_of_the_teachers_figure() -> None:
    (check,) = checks("spearman_cosine@stsb >= 0.95*teacher")
    # 0.95 x 0.82 = 0.779, and the value is 0.78: that its interval reaches lower does not matter.
    assert check.met
    assert check.limit == pytest.approx(0.779)
    assert check.interval == pytest.approx((0.77, 0.79))
    assert check.text == (
        "spearman_cosine on stsb: 0.7800 [0.7700, 0.7900], at least 0.95 x the teacher's 0.8200 = 0.7790"
    )
    (check,) = checks("spearman_cosine@stsb >= 0.96*teacher")
    assert not check.met
    assert check.text.endswith(", below 0.96 x the teacher's 0.8200 = 0.7872")
    assert checks("spearman_cosine@stsb > teacher")[0].text.endswith(", not above the teacher's 0.8200")


@pytest.mark.parametrize(
    ("gate", "met", "words"),
    [
        ("ndcg_at_10 >= 0.4", True, "at least 0.4"),
        ("ndcg_at_10 > 0.4", False, "not above 0.4"),
        ("ndcg_at_10 <= 0.39", False, "above 0.39"),
        ("ndcg_at_10 < 0.4", False, "not below 0.4"),
        ("ndcg_at_10 < 0.41", True, "below 0.41"),
        ("ndcg_at_10 >= -1", True, "at least -1"),
    ],
)
def test_every_sign(gate: str, met: bool, words: str) -> None:
    (check,) = checks(gate)
    assert (check.met, check.text) == (met, f"ndcg_at_10 on cranfield: 0.4000 [0.3900, 0.4100], {words}")


def test_figures_that_differ_little_are_printed_so_that_it_shows() -> None:
    report = report_of(measured("ndcg_at_10", 0.449999, data="cranfield", spread=None))
    assert checks("ndcg_at_10 >= 0.45", report)[0].text == ("ndcg_at_10 on cranfield: 0.449999, below 0.45")


def test_only_plain_figures_of_the_student_with_its_teacher_unless_a_variant_is_named() -> None:
    assert [c.value for c in checks("spearman_cosine >= 0")] == [0.78]
    assert [c.value for c in checks("spearman_cosine[dimensions=128] >= 0")] == [0.60]
    assert [c.value for c in checks("spearman_cosine[precision=int8] >= 0")] == [0.77]
    assert [c.value for c in checks("precision_at_k[k=10] >= 0")] == [0.65]
    # A share of the teacher's figure with the same parameters: 0.85 x 0.70 = 0.595.
    assert checks("spearman_cosine[dimensions=128] >= 0.85*teacher")[0].limit == pytest.approx(0.595)


def test_asymmetric_use_is_compared_with_the_teacher_alone() -> None:
    (check,) = checks(f"ndcg_at_10@cranfield[documents={TEACHER}] >= 0.9*teacher")
    assert check.met
    assert (check.value, check.limit) == pytest.approx((0.45, 0.9 * 0.5))


def test_all_that_match_must_hold() -> None:
    assert [c.met for c in checks("speedup >= 2")] == [True, False]
    assert [c.met for c in checks("speedup[tokens=16] >= 2")] == [True]
    assert [c.met for c in checks("speedup[tokens=16.0, batch_size=32] >= 2")] == [True]
    assert [c.met for c in checks("precision_at_k >= 0.6")] == [True, True]


def test_data_is_named_by_key_or_title() -> None:
    title = REPORT.data["stsb"].title
    assert checks(f"teacher_cosine@{title} >= 0")[0].value == 0.8
    assert checks("teacher_cosine@held-out >= 0")[0].value == 0.9


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (
            "spearman_cosin >= 0",
            "no such metric; did you mean 'spearman_cosine'. there is spearman_cosine, nd",
        ),
        ("spearman_cosine@stbs >= 0", "not measured on this data; did you mean 'stsb'. there is stsb$"),
        ("ndcg_at_10@stsb >= 0", "not measured on this data; there is cranfield$"),
        (
            "precision_at_k[k=5] >= 0",
            r"no such measurement; .*there is precision_at_k@neighbours\[k=10\],",
        ),
        ("spearman_cosine[dimension=128] >= 0", r"there is .*spearman_cosine@stsb\[dimensions=128\]"),
        ("teacher_cosine >= 0", "name the data: teacher_cosine@held-out, teacher_cosine@stsb"),
        (
            "teacher_cosine@held-out >= 0.9*teacher",
            "no figure of the teacher's for teacher_cosine on held-out",
        ),
        ("spearman_cosine[precision=int8] >= teacher", "no figure of the teacher's"),
    ],
)
def test_what_the_report_does_not_have_is_an_error_that_lists_what_it_has(gate: str, problem: str) -> None:
    with pytest.raises(GateError, match=problem):
        checks(gate)


def test_unmet_gates_are_told_together() -> None:
    results = judge(FIGURES, parse_gates(["speedup >= 2", "ndcg_at_10 >= 0.45", "ndcg_at_10 >= 0.3"]))
    with pytest.raises(GateError) as refused:
        refuse_unmet({"demo/student": results})
    assert str(refused.value).splitlines() == [
        "demo/student does not meet 2 of 3 gates:",
        "  speedup[tokens=64, batch_size=32] on speed: 1.5000, below 2",
        "  ndcg_at_10 on cranfield: 0.4000 [0.3900, 0.4100], below 0.45",
        "Nothing was pushed.",
    ]
    assert refused.value.exit_code == 1
    refuse_unmet({"demo/student": results[2:]})


def headline(value: float, **update: object) -> DistillationReport:
    """A report with one headline figure."""
    report = report_of(measured("spearman_cosine", value), measured("spearman_cosine", 0.82, TEACHER))
    data = {**report.data, "stsb": report.data["stsb"].model_copy(update=update)}
    return report.model_copy(update={"data": data})


def test_no_regression_fails_where_a_headline_figure_is_decidedly_worse() -> None:
    gates = parse_gates(["no_regression"])
    (worse,) = judge(headline(0.75), gates, headline(0.78))
    assert not worse.met
    # Two intervals of half a width of 0.01 make one of sqrt(2) x 0.01 around the difference.
    assert worse.checks[0].text == (
        "spearman_cosine on stsb: 0.7500, decidedly worse than the published 0.7800 "
        "(difference \N{MINUS SIGN}0.0300 [\N{MINUS SIGN}0.0441, \N{MINUS SIGN}0.0159])"
    )
    assert worse.checks[0].limit == 0.78
    (within,) = judge(headline(0.77), gates, headline(0.78))
    assert within.met
    assert ", not decidedly worse than the published 0.7800 " in within.checks[0].text
    (better,) = judge(headline(0.81), gates, headline(0.78))
    assert better.met


def test_no_regression_says_what_it_could_not_compare() -> None:
    gates = parse_gates(["no_regression"])
    (first,) = judge(headline(0.5), gates, None)
    assert (first.met, first.checks, first.notes) == (True, (), ("no report is published yet",))
    (other,) = judge(headline(0.5), gates, headline(0.78, sha256="0" * 64))
    assert (other.met, other.checks) == (True, ())
    assert other.notes[0].startswith("spearman_cosine on stsb: stsb: other texts (000000000000, then ")
    assert other.notes[-1] == "no figure of quality could be compared"
    both = FIGURES.model_copy(update={"measurements": FIGURES.measurements[:2] + FIGURES.measurements[5:7]})
    (dropped,) = judge(headline(0.78), gates, both)
    assert dropped.notes == ("ndcg_at_10 on cranfield: published with 0.4000, not measured now",)
    (added,) = judge(both, gates, headline(0.78))
    assert added.notes == ("ndcg_at_10 on cranfield: not in the published report",)


@pytest.fixture
def send(hub: LocalHub, model: Path, repo_id: str) -> Push:
    """Push the model folder, with a report in it, to a repository of its own."""

    def send(report: DistillationReport = FIGURES, *gates: str, **options: object) -> PushOutcome:
        report.save(model)
        return push(model, repo_id, token=WRITE, endpoint=hub.endpoint, gates=gates, **options)

    return send


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=WRITE)


def test_unmet_gate_stops_the_push_before_anything_is_made(send: Push, api: HfApi, repo_id: str) -> None:
    with pytest.raises(GateError, match=f"^{repo_id} does not meet 1 of 2 gates:\n  speedup"):
        send(FIGURES, "ndcg_at_10 >= 0.3", "speedup >= 2")
    with pytest.raises(GateError, match="no such metric"):
        send(FIGURES, "ndcg >= 0.3")
    assert not api.repo_exists(repo_id)


def test_met_gates_are_in_the_outcome(send: Push) -> None:
    outcome = send(FIGURES, "ndcg_at_10 >= 0.3", "no_regression")
    assert outcome.commit
    assert not outcome.refused
    assert [gate.met for gate in outcome.gates] == [True, True]
    first = json.loads(json.dumps(outcome.to_dict()))["gates"][0]
    assert first["gate"] == "ndcg_at_10 >= 0.3"
    assert first["checks"][0] == {
        "figure": "ndcg_at_10 on cranfield",
        "value": 0.4,
        "interval": [0.4 - 0.01, 0.4 + 0.01],
        "limit": 0.3,
        "met": True,
        "text": "ndcg_at_10 on cranfield: 0.4000 [0.3900, 0.4100], at least 0.3",
    }


def test_dry_run_shows_every_gate_with_its_verdict(send: Push) -> None:
    outcome = send(FIGURES, "ndcg_at_10 >= 0.3", "speedup[tokens=64] >= 2", dry_run=True)
    assert outcome.refused
    lines = str(outcome).splitlines()
    assert lines[0] == f"A push to {outcome.repo_id} would be refused: 1 of 2 gates not met"
    start = lines.index("Gates:")
    assert lines[start + 1 : start + 5] == [
        "  met: ndcg_at_10 >= 0.3",
        "    ndcg_at_10 on cranfield: 0.4000 [0.3900, 0.4100], at least 0.3",
        "  NOT MET: speedup[tokens=64] >= 2",
        "    speedup[tokens=64, batch_size=32] on speed: 1.5000, below 2",
    ]


def test_no_regression_reads_the_report_at_the_branchs_head(send: Push, api: HfApi, repo_id: str) -> None:
    first = send(headline(0.78), "no_regression")
    assert first.gates[0].notes == ("no report is published yet",)
    send(headline(0.70), revision="low")
    with pytest.raises(GateError, match=r"0\.7400, decidedly worse than the published 0\.7800"):
        send(headline(0.74), "no_regression")
    assert api.model_info(repo_id).sha == first.commit
    # A branch that is still to be made begins at main, and is not made.
    with pytest.raises(GateError, match=r"decidedly worse than the published 0\.7800"):
        send(headline(0.74), "no_regression", revision="new")
    assert {branch.name for branch in api.list_repo_refs(repo_id).branches} == {"main", "low"}
    assert send(headline(0.74), "no_regression", revision="low").commit
    assert send(headline(0.78), "no_regression").commit is None


def test_no_regression_needs_a_published_report_that_can_be_read(
    send: Push, hub: LocalHub, model: Path, repo_id: str, api: HfApi
) -> None:
    send(headline(0.78))
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="report.json", repo_id=repo_id)
    with pytest.raises(
        GateError, match=r"the published report\.json: schema_version is None.*push once without"
    ):
        send(headline(0.79), "no_regression")
    assert send(headline(0.79)).commit


def test_gates_hold_where_nothing_has_changed(send: Push) -> None:
    send()
    with pytest.raises(GateError, match=r"below 0\.9"):
        send(FIGURES, "ndcg_at_10 >= 0.9")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "cannot read .*report.json: Expecting property name"),
        ("[" * 100_000, "cannot read .*report.json"),
        ('{"schema_version": 99}', "schema_version is 99, this hubdistill reads 1"),
        ('{"schema_version": 1, "student": "s"}', "teacher: Field required"),
    ],
)
def test_report_that_cannot_be_read_does_not_travel(
    hub: LocalHub, model: Path, repo_id: str, api: HfApi, content: str, problem: str
) -> None:
    (model / "report.json").write_text(content)
    with pytest.raises(ReportError, match=problem):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    assert not api.repo_exists(repo_id)
    assert push(model, repo_id, token=WRITE, endpoint=hub.endpoint, exclude=["report.json"]).commit


def test_folder_without_a_report_travels_unless_gates_ask_for_it(
    hub: LocalHub, model: Path, repo_id: str
) -> None:
    (model / "report.json").unlink()
    with pytest.raises(ReportError, match=r"no report at .*`hubdistill evaluate` writes one"):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint, gates=["speedup >= 2"])
    assert push(model, repo_id, token=WRITE, endpoint=hub.endpoint).commit


@pytest.fixture
def recipe() -> dict[str, object]:
    return {
        "name": "family",
        "teacher": {"model": "teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"]}]},
        "students": [{"name": "small", "layers": 2}],
    }


@pytest.mark.parametrize(
    ("publish", "problem"),
    [
        ({"gates": ["speedup >= fast"]}, "publish.gates.0: 'fast' is not a limit"),
        ({"gates": ["speedup => 2"]}, "publish.gates.0: not a condition; write for example"),
        ({"revision": "my branch"}, "publish.revision: git does not take 'my branch'"),
        ({"tag": "v1..2"}, "publish.tag: git does not take 'v1..2'"),
    ],
)
def test_recipe_tells_bad_gates_and_names_at_once(
    recipe: dict[str, object], publish: dict[str, object], problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        parse_recipe({**recipe, "publish": publish}, folder=Path())


def test_recipe_takes_gates(recipe: dict[str, object]) -> None:
    gates = ["spearman_cosine@stsb-test >= 0.95*teacher", "no_regression"]
    found = parse_recipe(
        {**recipe, "publish": {"gates": gates, "revision": "next/1", "tag": "v1"}}, folder=Path()
    )
    assert found.publish.gates == tuple(gates)


@pytest.mark.usefixtures("command_line_settings_restored")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--gate", "speedup => 2"], "not a condition"),
        (["--revision", "a b"], "git does not take 'a b'"),
        (["--tag", "-x"], "git does not take '-x'"),
    ],
)
def test_command_refuses_bad_gates_and_names_as_a_mistake(
    model: Path, arguments: list[str], problem: str
) -> None:
    done = CliRunner().invoke(app, ["push", str(model), "--repo-id", "demo/x", *arguments])
    assert done.exit_code == 2
    assert problem in " ".join(done.output.replace("│", " ").split())


@pytest.mark.usefixtures("command_line_settings_restored")
def test_command_passes_gates_on_and_a_dry_run_that_would_be_refused_fails(
    hub: LocalHub, model: Path, repo_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FIGURES.save(model)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", WRITE)
    arguments = ["push", str(model), "--repo-id", repo_id, "--json", "--dry-run"]
    done = CliRunner().invoke(app, [*arguments, "--gate", "speedup >= 2", "--gate", "ndcg_at_10 > 0"])
    assert done.exit_code == 1
    assert [gate["met"] for gate in json.loads(done.stdout)["gates"]] == [False, True]
    assert CliRunner().invoke(app, [*arguments, "--gate", "ndcg_at_10 > 0"]).exit_code == 0
