"""Figures: which ones there are, what they say, and their bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from sample_report import bge_m3_report, mxbai_report, static_report

from hubdistill.errors import MissingExtraError
from hubdistill.figures import NAMES, draw_figures, planned_figures
from hubdistill.report import DistillationReport

matplotlib = pytest.importorskip("matplotlib")


def bare(report: DistillationReport) -> DistillationReport:
    """Only speed is left of what was measured."""
    measurements = tuple(m for m in report.measurements if m.data == "speed")
    training = report.training.model_copy(update={"log": ()}) if report.training else None
    return report.model_copy(
        update={"measurements": measurements, "comparisons": (), "points": None, "training": training}
    )


def test_family_calls_for_all_figures_and_a_single_static_student_for_two() -> None:
    assert tuple(figure.name for figure in planned_figures(bge_m3_report())) == NAMES
    assert [figure.name for figure in planned_figures(static_report())] == ["summary", "precision_at_k"]


def test_alternative_text_holds_the_numbers() -> None:
    summary, agreement, training, family = planned_figures(bge_m3_report())
    assert "Spearman (cosine) on STS Benchmark (test): 0.8391 against 0.8487" in summary.alt
    assert "nDCG@10 on Cranfield: 0.4691 against 0.4787" in summary.alt
    assert "no measurable difference" in summary.alt
    assert "88.2 against 31.4 at 64 tokens" in summary.alt
    assert "bge-m3-8-layers and BAAI/bge-m3: 0.8110 at k = 10 to 0.8350 at k = 50" in agreement.alt
    assert "The loss goes from 0.1100 to 0.0286" in training.alt
    assert "bge-m3-4-layers keeps 93.1% at 5.2x speed" in family.alt


@pytest.mark.parametrize(
    "report",
    [
        bge_m3_report(),
        bge_m3_report(similarity_sets=6),
        mxbai_report(),
        static_report(),
        bare(mxbai_report()),
    ],
    ids=["family", "six sets", "one set", "static", "speed only"],
)
def test_files_are_small_and_sharp(report: DistillationReport, tmp_path: Path) -> None:
    figures = draw_figures(report, tmp_path)
    assert figures == planned_figures(report)
    for figure in figures:
        path = tmp_path / figure.path
        assert path.stat().st_size < 150_000
        with Image.open(path) as image:
            assert image.width >= 1000
            assert set(image.info) <= {"dpi"}
    assert len(list((tmp_path / "figures").iterdir())) == len(figures)


def test_figure_without_facts_is_removed(tmp_path: Path) -> None:
    draw_figures(bge_m3_report(), tmp_path)
    (tmp_path / "figures" / "mine.png").touch()
    draw_figures(bare(bge_m3_report()), tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"mine.png", "summary.png"}


def test_user_s_matplotlib_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    report = static_report()
    draw_figures(report, tmp_path)
    content = (tmp_path / "figures" / "summary.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw_figures(report, tmp_path)
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "figures" / "summary.png").read_bytes() == content


def test_names_outside_the_font_and_with_dollar_signs_are_drawn(tmp_path: Path) -> None:
    report = bge_m3_report()
    title = "日本語 $\\frac{1}{0}$ _x^ \N{GRINNING FACE} and a very long name " * 5
    data = {key: data.model_copy(update={"title": title}) for key, data in report.data.items()}
    assert len(draw_figures(report.model_copy(update={"data": data}), tmp_path)) == 4


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise MissingExtraError("figures", "Drawing the card's figures")

    monkeypatch.setattr("hubdistill.figures._painters", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'hubdistill\[figures\]'"):
        draw_figures(static_report(), tmp_path)
    assert not (tmp_path / "figures").exists()


def test_names_of_like_models_do_not_cover_each_other() -> None:
    from hubdistill.figures.curves import quality_speed

    report = bge_m3_report()
    same = {
        "measurements": [
            m.model_copy(update={"value": 2.0, "interval": None}) if m.metric == "speedup" else m
            for m in report.measurements
        ],
        "comparisons": [c.model_copy(update={"kept": 0.97}) for c in report.comparisons],
    }
    figure = quality_speed(report.model_copy(update=same))
    names = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(names) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[i + 1 :])
