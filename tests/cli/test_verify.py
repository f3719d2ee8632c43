"""`hubdistill verify`: the table for people, JSON, and exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from cli.conftest import Invoke
from verification.published_student import publish

from hubdistill.cli.output import Format, Sink
from hubdistill.cli.verify import verify
from hubdistill.verification.outcome import CheckedClaim, Problem, Verification


def claim(figure: str, verdict: str = "same", **more: Any) -> CheckedClaim:
    usual = {
        "model": "small",
        "data": "sts",
        "source": "report",
        "claimed": 0.8123,
        "interval": (0.7, 0.9),
        "measured": None if verdict == "not run" else 0.81231,
        "measured_interval": (0.7, 0.9),
    }
    return CheckedClaim(figure=figure, verdict=verdict, **usual | more)  # type: ignore[arg-type]


def found(*claims: CheckedClaim, problems: tuple[Problem, ...] = (), quick: bool = False) -> Verification:
    return Verification(
        model="org/small",
        revision="0123456789abcdef0123456789abcdef01234567",
        claims=claims,
        problems=problems,
        notes=("a note",),
        quick=quick,
        seconds=63.0,
        student="small",
        teacher="org/large",
    )


CLAIMS = (
    claim("parameters", data="", claimed=1000, measured=1000),
    claim("spearman_cosine"),
    claim("spearman_cosine", model="org/large", claimed=0.85, measured=0.85),
    claim("kept spearman_cosine", claimed=0.9556, measured=0.9556),
    claim("difference spearman_cosine", claimed=-0.0377, measured=-0.0377),
    claim("spearman_cosine[dimensions=16]", variant=True),
    claim("precision_at_k[k=10]", "not run", data="held-out", why="--data names its folder"),
    claim("ndcg_at_10", source="card"),
)


def shown(
    verification: Verification, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[str, int]:
    """What is printed for people, and the exit code."""
    monkeypatch.setattr("hubdistill.verification.verifying.verify", lambda *_, **__: verification)
    code = 0
    try:
        verify("org/small", sink=Sink())
    except typer.Exit as error:
        code = error.exit_code
    return capsys.readouterr().out, code


def test_claimed_and_measured_stand_side_by_side(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, code = shown(found(*CLAIMS), monkeypatch, capsys)
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == "org/small at 0123456789abcdef012: claimed and measured"
    assert "figure           student  measured  teacher  measured    kept  measured  verdict" in lines
    assert "spearman_cosine   0.8123    0.8123   0.8500    0.8500  95.56%    95.56%  same" in lines
    assert "sts, 1 figures of cut or quantized vectors, slices, or approximate search: all same" in lines
    assert "What small is made of, 1 facts: all same" in lines
    assert "The card's metadata against the report, 1 figures: all same" in lines
    assert "  - held-out (1): --data names its folder" in lines
    assert lines[-1] == "6 of 6 claims that were measured again hold; 1 not measured again (1 min 3 s)"
    assert all(len(line) <= 100 for line in lines)


def test_what_is_not_as_claimed_comes_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = claim("pearson_dot", "differs", claimed=0.9, measured=0.8, why="off by 0.1")
    problem = Problem("model.safetensors", "not the weights that were measured")
    on_card = claim("ndcg_at_10", "differs", source="card")
    text, code = shown(found(*CLAIMS, wrong, on_card, problems=(problem,)), monkeypatch, capsys)
    assert code == 1
    lines = text.splitlines()
    assert lines[2] == "NOT AS CLAIMED"
    assert lines[3] == "  ✗ sts: pearson_dot of small: claimed 0.9000, measured 0.8000 (off by 0.1)"
    assert "  - model.safetensors: not the weights that were measured" in lines
    assert lines[-1].startswith(
        "6 of 7 claims that were measured again hold; 1 does not; 1 on the card is not the report's; "
        "1 problem; 1 not measured"
    )


def test_of_a_sample_the_interval_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, code = shown(found(claim("spearman_cosine", "holds"), quick=True), monkeypatch, capsys)
    assert code == 0
    assert "spearman_cosine   0.8123  [0.70, 0.90]  holds" in text.splitlines()


def test_nothing_measured_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, code = shown(found(CLAIMS[0], CLAIMS[-2], CLAIMS[-1]), monkeypatch, capsys)
    assert code == 1
    assert "No measurement could be repeated: nothing is verified." in text


def test_a_real_one(tiny_teacher_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    publish(tmp_path, tiny_teacher_folder)
    path = tmp_path / "student" / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    next(m for m in report["measurements"] if m["metric"] == "pearson_dot")["value"] += 0.01
    path.write_text(json.dumps(report), encoding="utf-8")
    places = ["--teacher", "teacher", "--data", "data/sets", "--device", "cpu"]
    result = invoke("verify", "student", *places, "--no-speed", "--json")
    assert result.exit_code == 1, result.output
    document = json.loads(result.stdout)
    wrong = [one for one in document["claims"] if one["verdict"] == "differs" and one["source"] == "report"]
    assert [(one["figure"], one["model"], one["data"]) for one in wrong] == [
        ("pearson_dot", "teacher", "sts")
    ]
    assert all("--data" in one["why"] for one in document["claims"] if one["data"] == "held-out")


def test_what_is_asked_wrongly(invoke: Invoke) -> None:
    assert invoke("verify", "student", "--json", "-q").exit_code == 2
    assert invoke("verify", "nowhere").exit_code == 1


def test_nothing_of_a_stranger_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2Jall hold"
    wrong = claim("pearson_dot", "differs", data=evil, model=evil, why=evil)
    absent = claim(evil, "not run", data=evil, why=evil)
    verification = replace(
        found(*CLAIMS, wrong, absent, problems=(Problem(evil, evil),)),
        notes=(evil,),
        model=evil,
        revision=evil,
    )
    for quiet in (False, True):
        monkeypatch.setattr("hubdistill.verification.verifying.verify", lambda *_, **__: verification)
        with pytest.raises(typer.Exit):
            verify("org/small", sink=Sink(Format.quiet if quiet else Format.human))
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "[U+001B][2Jall hold" in out
