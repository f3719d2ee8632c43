"""Figures: which ones there are, what they show and say, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_report import bge_m3_report, mxbai_report, other_model_report, static_report, trimmed_report

from hubdistill.errors import MissingExtraError
from hubdistill.figures import NAMES, draw_figures, planned_figures
from hubdistill.figures.alt_texts import LONGEST
from hubdistill.figures.content import (
    curves,
    family,
    matrices,
    pareto_front,
    slice_groups,
    vector_qualities,
)
from hubdistill.numbers import MINUS
from hubdistill.report import DistillationReport, Interval, Measurement, TrainingLog, Value

matplotlib = pytest.importorskip("matplotlib")


def bare(report: DistillationReport) -> DistillationReport:
    """Only speed is left of what was measured."""
    measurements = tuple(m for m in report.measurements if m.data == "speed")
    training = report.training.model_copy(update={"log": ()}) if report.training else None
    return report.model_copy(
        update={"measurements": measurements, "comparisons": (), "points": None, "training": training}
    )


def plain(report: DistillationReport) -> DistillationReport:
    """Nothing is left of slices, cut and quantized vectors."""
    return report.model_copy(update={"measurements": tuple(m for m in report.measurements if m.plain)})


def more(report: DistillationReport, *measurements: Measurement) -> DistillationReport:
    return report.model_copy(update={"measurements": (*report.measurements, *measurements)})


def measured(
    metric: str, model: str, value: float, data: str, against: str | None = None, **parameters: Value
) -> Measurement:
    return Measurement(
        metric=metric,
        model=model,
        value=value,
        data=data,
        n=100,
        against=against,
        parameters=parameters,
        interval=Interval(low=value - 0.01, high=value + 0.01, method="percentile bootstrap"),
        reproduce="hubdistill evaluate recipe.yaml",
    )


def sliced(report: DistillationReport, by: str, cosines: Mapping[str, float]) -> DistillationReport:
    return more(
        report,
        *(
            measured("teacher_cosine", report.student, cosine, "held-out", report.teacher, **{by: name})
            for name, cosine in cosines.items()
        ),
    )


def cut(report: DistillationReport, *models: str) -> DistillationReport:
    """Spearman at 256 dimensions and in bits, of a report whose models have 1024 dimensions."""
    return more(
        report,
        *(measured("spearman_cosine", model, 0.82, "stsb", dimensions=256) for model in models),
        *(measured("spearman_cosine", model, 0.81, "stsb", precision="binary") for model in models),
    )


def names(report: DistillationReport) -> list[str]:
    return [figure.name for figure in planned_figures(report)]


def test_figures_are_those_that_the_report_has_facts_for() -> None:
    one = plain(mxbai_report())
    assert names(one) == ["summary", "precision_at_k", "training"]
    assert names(plain(static_report())) == ["summary", "precision_at_k"]
    assert names(plain(trimmed_report())) == ["summary", "precision_at_k"]
    of_a_family = ["summary", "precision_at_k", "agreement_matrix", "training", "quality_speed"]
    assert names(plain(bge_m3_report())) == of_a_family
    assert names(sliced(one, "language", {"de": 0.9})) == names(one)
    assert "slices" in names(sliced(one, "language", {"de": 0.9, "en": 0.95}))
    assert "vector_size" in names(cut(one, one.student))
    assert names(bare(one)) == ["summary"]
    everything = sliced(plain(bge_m3_report()), "length", {"1-16": 0.9, "17-64": 0.95})
    assert names(cut(everything, everything.student)) == list(NAMES)


def test_alternative_text_holds_the_numbers() -> None:
    texts = {figure.name: figure.alt for figure in planned_figures(bge_m3_report())}
    assert (
        f"Spearman (cosine) on STS Benchmark (test): 0.8391 against 0.8487 ({MINUS}0.0096)"
        in texts["summary"]
    )
    assert f"nDCG@10 on Cranfield: 0.4691 against 0.4787 ({MINUS}0.0096, no measurable" in texts["summary"]
    assert "88.2 against 31.4 at 64 tokens" in texts["summary"]
    assert "bge-m3-8-layers and BAAI/bge-m3: 0.8110 at k = 10 to 0.8350 at k = 50" in texts["precision_at_k"]
    assert "highest 0.8420 between bge-m3-8-layers and bge-m3-6-layers" in texts["agreement_matrix"]
    assert "lowest 0.6890 between bge-m3-4-layers and BAAI/bge-m3" in texts["agreement_matrix"]
    assert "The loss goes from 0.1100 to 0.0286" in texts["training"]
    assert "bge-m3-4-layers keeps 93.1% at 5.2x speed" in texts["quality_speed"]
    assert "Measurably behind the Pareto front: none." in texts["quality_speed"]


def test_alternative_text_of_slices_and_vectors_holds_the_numbers() -> None:
    report = sliced(plain(mxbai_report()), "language", {"de": 0.91, "en": 0.95, "tr": 0.88})
    report = cut(report, report.student)
    texts = {figure.name: figure.alt for figure in planned_figures(report)}
    assert texts["slices"] == (
        "Mean cosine to the teacher by language, 3 slices: "
        "lowest tr (0.8800, n = 100), highest en (0.9500, n = 100)."
    )
    assert texts["vector_size"] == (
        "Spearman (cosine) on STS Benchmark (test), mxbai-embed-large-8-layers: 0.8903 "
        "with 1,024 dimensions, 0.8200 with 256 dimensions and 0.8100 in binary."
    )


def test_alternative_text_is_short_and_says_what_it_leaves_out() -> None:
    report = bge_m3_report(similarity_sets=6)
    for each in (report, static_report(), other_model_report(), trimmed_report()):
        assert all(0 < len(figure.alt) <= LONGEST for figure in planned_figures(each))
    summary = planned_figures(report)[0].alt
    assert summary.endswith("And 5 more.")
    assert "Spearman" in summary
    assert "nDCG@10" in summary
    assert "Texts per second" in summary
    data = {key: data.model_copy(update={"title": "long " * 100}) for key, data in report.data.items()}
    long = planned_figures(report.model_copy(update={"data": data}))
    assert all(0 < len(figure.alt) <= LONGEST for figure in long)


def test_a_training_that_chooses_by_shared_neighbours_shows_them(tmp_path: Path) -> None:
    report = plain(static_report())
    lines = [{"step": step, "epoch": 1.0, "teacher_cosine": 0.8, "precision_at_10": 0.4} for step in (0, 9)]
    log = tuple(TrainingLog(**line) for line in lines)
    without = tuple(line.model_copy(update={"precision_at_10": None}) for line in log)
    assert report.training
    sizes = []
    for name, lines_of in (("with", log), ("without", without)):
        training = report.training.model_copy(update={"log": lines_of})
        drawn = draw_figures(report.model_copy(update={"training": training}), tmp_path / name)
        alt = next(figure.alt for figure in drawn if figure.name == "training")
        assert ("Precision@10 goes from 0.4000 to 0.4000." in alt) == (name == "with")
        with Image.open(tmp_path / name / "figures" / "training.png") as image:
            sizes.append(image.width)
    assert sizes[0] > 1.5 * sizes[1]


def test_pareto_front_has_the_models_that_no_other_beats() -> None:
    teacher, good, fast, behind, twin, slow = (1, 1), (2, 0.97), (5, 0.9), (1.9, 0.95), (5, 0.9), (0.9, 1)
    assert pareto_front([teacher, good, fast, behind, twin, slow]) == [True, True, True, False, True, False]
    # A student that is better and faster leaves the teacher behind.
    assert pareto_front([teacher, (1.5, 1.01)]) == [False, True]


def test_family_has_the_teacher_first_and_a_student_that_is_beaten() -> None:
    # As fast as the one with four layers, and measurably better: the one with six beats it.
    found = family(fast_six(bge_m3_report()))
    assert found
    assert found.tokens == 64
    assert [(member.model, member.beaten) for member in found.members] == [
        ("BAAI/bge-m3", False),
        ("bge-m3-8-layers", False),
        ("bge-m3-6-layers", False),
        ("bge-m3-4-layers", True),
    ]
    assert (found.members[0].kept, found.members[0].speed_up) == (1, 1)
    assert found.members[1].kept == pytest.approx(0.8391 / 0.8487, abs=1e-4)
    assert family(mxbai_report()) is None


def fast_six(report: DistillationReport) -> DistillationReport:
    """The student with six layers is 5.1x to 6.9x as fast: not measurably faster than that with four."""
    interval = Interval(low=5.1, high=6.9, method="lowest and highest of 5 repeats")
    changed = [
        m.model_copy(update={"value": 6.0, "interval": interval})
        if m.metric == "speedup" and "6" in m.model
        else m
        for m in report.measurements
    ]
    return report.model_copy(update={"measurements": tuple(changed)})


def test_a_model_is_beaten_only_where_one_difference_is_more_than_chance() -> None:
    report = fast_six(bge_m3_report())
    wide = Interval(low=-0.1, high=0.1, method="percentile bootstrap")
    unsure = tuple(
        c.model_copy(update={"interval": wide}) if c.model == "bge-m3-4-layers" else c
        for c in report.comparisons
    )
    report = report.model_copy(update={"comparisons": unsure})
    found = family(report)
    assert found
    assert not any(member.beaten for member in found.members)
    assert "none" in {figure.name: figure.alt for figure in planned_figures(report)}["quality_speed"]
    # Now the speed is decided, and the quality still is not.
    surely = Interval(low=5.9, high=6.1, method="lowest and highest of 5 repeats")
    faster = tuple(
        m.model_copy(update={"interval": surely}) if m.metric == "speedup" and m.value == 6 else m
        for m in report.measurements
    )
    found = family(report.model_copy(update={"measurements": faster}))
    assert found
    assert [member.model for member in found.members if member.beaten] == ["bge-m3-4-layers"]


def on_more_sets(report: DistillationReport, sets: int) -> DistillationReport:
    """Agreement on further sets of queries and documents, titled `Set 2` and so on."""
    agreement = report.find("precision_at_k", data="neighbours")
    others = [f"set-{number}" for number in range(2, sets + 1)]
    data = {
        key: report.data["neighbours"].model_copy(update={"title": key.replace("set-", "Set ")})
        for key in others
    }
    report = report.model_copy(update={"data": {**report.data, **data}})
    return more(report, *(m.model_copy(update={"data": key}) for key in others for m in agreement if m.plain))


def test_pictures_and_words_show_the_same_sets_and_pairs() -> None:
    report = on_more_sets(plain(bge_m3_report()), 6)
    agreements, pairs = curves(report)
    assert [agreement.data.title for agreement in agreements[1:]] == ["Set 2", "Set 3", "Set 4"]
    assert [matrix.data for matrix in matrices(report)] == [agreement.data for agreement in agreements]
    assert len(pairs) == 6
    texts = {figure.name: figure.alt for figure in planned_figures(report)}
    assert all(title not in "".join(texts.values()) for title in ("Set 5", "Set 6"))
    assert "Set 4" in texts["precision_at_k"]


def test_heat_maps_of_three_sets_stand_in_two_columns() -> None:
    from hubdistill.figures.family import agreement_matrix

    figure = agreement_matrix(on_more_sets(plain(bge_m3_report()), 3))
    titles = [axes.get_title("left") + axes.get_title() for axes in figure.axes]
    assert [title.rpartition("\n")[2] for title in titles][1:] == ["Set 2", "Set 3"]
    assert {axes.get_gridspec().ncols for axes in figure.axes} == {2}


def test_matrix_has_every_pair_at_the_smallest_k_with_the_teacher_first() -> None:
    (matrix,) = matrices(bge_m3_report())
    assert matrix.k == 10
    assert matrix.models == ["BAAI/bge-m3", "bge-m3-8-layers", "bge-m3-6-layers", "bge-m3-4-layers"]
    values = [[matrix.value(a, b) for b in matrix.models] for a in matrix.models]
    assert values == [
        [None, 0.811, 0.768, 0.689],
        [0.811, None, 0.842, 0.741],
        [0.768, 0.842, None, 0.773],
        [0.689, 0.741, 0.773, None],
    ]
    assert matrices(mxbai_report()) == []


def test_slices_are_lengths_rising_and_languages_from_the_lowest() -> None:
    report = sliced(plain(mxbai_report()), "length", {"257+": 0.9, "17-64": 0.97, "1-16": 0.95})
    report = sliced(report, "language", {f"l{number}": 0.7 + number / 100 for number in range(25, 0, -1)})
    lengths, languages = slice_groups(report)
    assert lengths.names == ["1-16", "17-64", "257+"]
    assert lengths.columns[0].lowest == "257+"
    assert lengths.columns[0].whole == 0.9712
    assert languages.names == [f"l{number}" for number in range(1, 21)]
    assert languages.total == 25
    assert languages.columns[0].highest == "l20"
    text = next(figure.alt for figure in planned_figures(report) if figure.name == "slices")
    assert "by language, the 20 lowest of 25 slices: lowest l1 (0.7100, n = 100), highest l20" in text


def test_slices_have_a_column_for_agreement_at_the_smallest_k() -> None:
    report = sliced(plain(mxbai_report()), "source", {"a": 0.9, "b": 0.8})
    precisions = {("a", 10): 0.7, ("b", 10): 0.6, ("a", 50): 0.1, ("b", 50): 0.2}
    student, teacher = report.student, report.teacher
    report = more(
        report,
        *(
            measured("precision_at_k", student, value, "neighbours", teacher, k=k, source=source)
            for (source, k), value in precisions.items()
        ),
    )
    (group,) = slice_groups(report)
    assert group.names == ["b", "a"]
    assert [column.title for column in group.columns] == ["Mean cosine to the teacher", "Precision@10"]
    assert {name: m.value for name, m in group.columns[1].by_slice.items()} == {"a": 0.7, "b": 0.6}
    assert group.columns[1].whole == 0.824


def test_vectors_are_compared_by_their_bytes() -> None:
    report = plain(mxbai_report())
    assert vector_qualities(report) == []
    (quality,) = vector_qualities(cut(report, report.student, report.teacher))
    sizes = [(size.bytes, size.precision) for size in quality.by_model[report.student]]
    assert sizes == [(4096, "float32"), (1024, "float32"), (128, "binary")]
    assert [size.measured.value for size in quality.by_model[report.teacher]] == [0.8929, 0.82, 0.81]
    (alone,) = vector_qualities(cut(report, report.student))
    assert list(alone.by_model) == [report.student]


def test_vectors_that_are_only_quantized_have_a_figure() -> None:
    report = plain(mxbai_report())
    report = more(report, measured("spearman_cosine", report.student, 0.81, "stsb", precision="int8"))
    (quality,) = vector_qualities(report)
    assert [size.bytes for size in quality.by_model[report.student]] == [4096, 1024]
    assert "vector_size" in names(report)


@pytest.fixture(scope="module")
def everything() -> DistillationReport:
    """Calls for every figure, with a very fast sibling and with names that are hard to draw."""
    report = sliced(bge_m3_report(similarity_sets=6), "source", {"a" * 60: 0.9, "org/b": 0.95})
    report = cut(report, report.student, report.teacher)
    name = "日本語 $\\frac{1}{0}$ _x^ \N{GRINNING FACE} and a very long name " * 5
    update = {
        "data": {key: data.model_copy(update={"title": name}) for key, data in report.data.items()},
        "models": {key: model.model_copy(update={"name": name}) for key, model in report.models.items()},
        "measurements": [
            m.model_copy(update={"value": 80.0, "interval": None})
            if m.metric == "speedup" and m.model == report.siblings[-1]
            else m
            for m in report.measurements
        ],
    }
    return report.model_copy(update=update)


@pytest.fixture(scope="module")
def drawn(everything: DistillationReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all its figures."""
    folder = tmp_path_factory.mktemp("figures")
    figures = draw_figures(everything, folder)
    assert figures == planned_figures(everything)
    assert [figure.name for figure in figures] == list(NAMES)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_files_are_small_and_sharp_on_their_own_paper(drawn: Path, name: str) -> None:
    path = drawn / "figures" / f"{name}.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        assert image.width >= 1000
        assert set(image.info) <= {"dpi"}
        pixels = np.asarray(image.convert("RGB"))
    # Paper all around, so that nothing is cut off or stands on the page's own colour.
    for edge in (pixels[:8], pixels[-8:], pixels[:, :8], pixels[:, -8:]):
        assert (edge == 255).all()


def test_colours_that_mean_something_stay_as_they_are(drawn: Path) -> None:
    from hubdistill.figures.style import LOSS, STUDENT, TEACHER

    with Image.open(drawn / "figures" / "summary.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or ()}
    # Also the loss, which has few pixels.
    assert {tuple(bytes.fromhex(colour[1:])) for colour in (STUDENT, TEACHER, LOSS)} <= colours


@pytest.mark.parametrize("value", [-0.4, 0.0], ids=["negative", "zero"])
def test_scores_of_zero_and_less_are_in_their_panel(value: float) -> None:
    from hubdistill.figures.summary import summary

    report = mxbai_report()
    scored = tuple(
        m.model_copy(update={"value": value, "interval": None}) for m in report.find("spearman_cosine")
    )
    figure = summary(bare(report).model_copy(update={"measurements": scored}))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    assert left <= value <= 0 < right
    assert len(axes.texts) >= 2
    assert all(text.get_window_extent().x1 < axes.bbox.x1 for text in axes.texts)


@pytest.mark.parametrize("speed_up", [1, 100], ids=["linear", "logarithmic"])
def test_numbers_of_the_bars_stay_below_the_title(speed_up: float) -> None:
    from hubdistill.figures.summary import summary

    report = bare(mxbai_report())
    rates = tuple(
        m.model_copy(
            update={
                "value": value,
                "interval": Interval(low=0.5 * value, high=1.9 * value, method="range of 3 repeats"),
            }
        )
        for m in report.find("texts_per_second")
        for value in (m.value * (speed_up if m.model == report.student else 1),)
    )
    figure = summary(report.model_copy(update={"measurements": rates}))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert len(axes.texts) >= 2
    assert all(text.get_window_extent().y1 < axes.bbox.y1 for text in axes.texts)


@pytest.mark.parametrize("shade", np.linspace(0, 1, 21))
def test_numbers_on_the_heat_map_have_contrast(shade: float) -> None:
    from hubdistill.figures.family import readable_on

    colour = matplotlib.colormaps["cividis"](shade)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    behind = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05
    text = {"#000000": 0.05, "#FFFFFF": 1.05}[readable_on(colour)]
    assert max(text, behind) / min(text, behind) > 4.5


def test_figure_without_facts_is_removed(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("mine", *NAMES):
        (tmp_path / "figures" / f"{name}.png").touch()
    draw_figures(bare(bge_m3_report()), tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"mine.png", "summary.png"}


def test_user_s_matplotlib_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    report = bare(mxbai_report())
    draw_figures(report, tmp_path)
    content = (tmp_path / "figures" / "summary.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw_figures(report, tmp_path)
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "figures" / "summary.png").read_bytes() == content


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise MissingExtraError("figures", "Drawing the card's figures")

    monkeypatch.setattr("hubdistill.figures._painters", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'hubdistill\[figures\]'"):
        draw_figures(static_report(), tmp_path)
    assert not (tmp_path / "figures").exists()


def test_names_of_like_models_do_not_cover_each_other() -> None:
    from hubdistill.figures.family import quality_speed

    report = bge_m3_report()
    same = {
        "measurements": [
            m.model_copy(update={"value": 2.0, "interval": None}) if m.metric == "speedup" else m
            for m in report.measurements
        ],
        "comparisons": [c.model_copy(update={"kept": 0.97}) for c in report.comparisons],
    }
    figure = quality_speed(report.model_copy(update=same))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_no_student_stands_out_on_a_figure_of_the_family() -> None:
    from matplotlib.collections import PathCollection

    from hubdistill.figures.curves import precision_at_k
    from hubdistill.figures.family import agreement_matrix, quality_speed

    def bold(figure: Any) -> set[str]:
        axes = figure.axes[0]
        texts = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
        return {text.get_text().split("\n")[0] for text in texts if text.get_fontweight() == "bold"}

    def colours(figure: Any) -> int:
        bubbles = [one for one in figure.axes[0].collections if isinstance(one, PathCollection)]
        return len({tuple(bubble.get_edgecolor()[0]) for bubble in bubbles})

    def widths(figure: Any) -> int:
        return len({line.get_linewidth() for line in figure.axes[0].get_lines()})

    report = bge_m3_report()
    for paint in (quality_speed, agreement_matrix):
        assert bold(paint(report)) == {"bge-m3-8-layers"}
        assert bold(paint(report, of_family=True)) == set()
    assert (colours(quality_speed(report)), colours(quality_speed(report, of_family=True))) == (3, 2)
    assert (widths(precision_at_k(report)), widths(precision_at_k(report, of_family=True))) == (2, 1)


def test_names_are_cut_where_those_of_a_family_are_alike() -> None:
    from hubdistill.figures.style import short

    assert short("BAAI/bge-m3", 22) == "bge-m3"
    cut_names = [short(f"org/bge-m3-distilled-multilingual-{n}-layers", 20) for n in (8, 6)]
    assert cut_names == ["bge-m3-di…l-8-layers", "bge-m3-di…l-6-layers"]
