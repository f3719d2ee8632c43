"""The benchmarks start, say what they need, and end with the agreed line; no figure is checked."""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import datasets
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.evaluation.vectors import Vectors
from hubdistill.students.layers import encoder_blocks
from hubdistill.text_table import TextTable

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
AGREED = {
    "benchmark",
    "measure",
    "ours",
    "peer",
    "ratio",
    "texts",
    "seed",
    "threads",
    "machine",
    "versions",
    "results",
}
LAYERS = {"layers", "precision", "seeds", "seconds_ratio", "runs", "queries", "documents"}
ON_TEXTS = [
    "static_vs_model2vec",
    "layers_vs_sentence_transformers",
    "layers_vs_distil_trainer",
    "teacher_pass",
]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a benchmark as its folder's scripts see each other."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    # push_faults sets it.
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield importlib.import_module
    datasets.enable_progress_bars()
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def how_good(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("how_good")


@pytest.fixture
def run(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a benchmark prints for some arguments."""

    def printed(script: str, *arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        load(script).main()
        return capsys.readouterr().out

    return printed


@pytest.fixture
def help_of(run: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    def text(script: str) -> str:
        with pytest.raises(SystemExit, match="0"):
            run(script, "--help")
        return capsys.readouterr().out

    return text


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up texts in the layout that the benchmarks read."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    letters = [" ".join(rng.choice(list("abcdefghij"), 8)) for _ in range(600)]
    (folder / "train").mkdir()
    for part, texts in (("one", letters[:250]), ("two", letters[250:500])):
        with gzip.open(folder / "train" / f"en_{part}.txt.gz", "wt") as file:
            file.write("\n".join(texts))
    (folder / "sts").mkdir()
    pairs = [f"{score % 6}\t{letters[score]}\t{letters[score + 20]}" for score in range(20)]
    for part in ("dev", "test"):
        (folder / "sts" / f"stsb-en-{part}.tsv").write_text(
            "\n".join(["score\tsentence1\tsentence2", *pairs]) + "\n"
        )
    for name in ("cranfield", "cisi"):
        ir = folder / "ir" / name
        ir.mkdir(parents=True)
        for kind, texts in (("corpus", letters[500:540]), ("queries", letters[540:550])):
            rows = [json.dumps({"_id": str(place), "text": text}) for place, text in enumerate(texts)]
            (ir / f"{kind}.jsonl").write_text("\n".join(rows) + "\n")
        judged = [f"{query}\t{3 * query}\t1" for query in range(10)]
        (ir / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    return folder


@pytest.mark.parametrize("script", ON_TEXTS)
def test_help_says_what_a_benchmark_needs(script: str, help_of: Callable[[str], str]) -> None:
    text = help_of(script)
    for needed in ("--texts", "--seed", "--data", "--teacher", "train/en_*.txt.gz", "licences"):
        assert needed in text


@pytest.mark.parametrize("script", ["static_vs_model2vec", "layers_vs_distil_trainer"])
def test_help_says_how_to_get_the_peer(script: str, help_of: Callable[[str], str]) -> None:
    text = help_of(script)
    assert "--peer-python" in text
    assert "pip install" in text


def test_labels_ends_with_the_agreed_line(run: Callable[..., str]) -> None:
    printed = run("labels", "--texts", "128", "--dimensions", "8", "16", "--seed", "3")
    line = json.loads(printed.splitlines()[-1])
    assert set(line) == AGREED
    assert line["benchmark"] == "labels"
    assert line["texts"] == 128
    assert line["seed"] == 3
    assert line["ratio"] == pytest.approx(line["peer"] / line["ours"], rel=0.01)
    assert {row["dimensions"] for row in line["results"]} == {8, 16}
    assert all(row["labels"] in printed for row in line["results"])


def test_labels_counts_bytes_of_half_and_double_precision(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labels = load("labels")
    monkeypatch.setattr(labels, "BATCHES", 3)
    rows = labels.measure(tmp_path, 1_000, 256, seed=0)
    gigabytes = {row["labels"]: row["gigabytes"] for row in rows}
    # 2 bytes a number and 16 of the text's hash, against 8 bytes a number.
    assert gigabytes["cache (float16)"] == pytest.approx((2 * 256 + 16) / 1000, rel=0.05)
    assert gigabytes["column of float16, as tensors"] == pytest.approx(2 * 256 / 1000, rel=0.05)
    assert gigabytes["column of float lists"] == pytest.approx(8 * 256 / 1000, rel=0.05)


def test_help_of_labels_says_that_it_needs_no_data(help_of: Callable[[str], str]) -> None:
    assert "needs: nothing but disk" in help_of("labels")


def test_a_folder_without_texts_is_told(run: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no train/en_\*\.txt\.gz"):
        run("teacher_pass", "--data", tmp_path)


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("static_vs_model2vec", ["--texts", "0"], "--texts: 0 is less than 1"),
        ("static_vs_model2vec", ["--peer-python", "no/such/python"], "there is no program no/such/python"),
        ("layers_vs_distil_trainer", ["--peer-python", "nope"], "there is no program nope"),
        ("layers_vs_sentence_transformers", ["--seeds", "1", "-1"], "--seeds: -1 is less than 0"),
        ("teacher_pass", ["--texts", "3"], "--texts: 3 is less than 4"),
        ("labels", ["--texts", "-5"], "--texts: -5 is less than 1"),
        ("push_faults", ["--scenarios", "nope"], "--scenarios: invalid choice: 'nope'"),
    ],
)
def test_an_argument_that_makes_no_sense_is_told_at_once(
    run: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    script: str,
    arguments: list[str],
    told: str,
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(script, *arguments)
    assert told in capsys.readouterr().err


def test_a_missing_evaluation_set_is_told_before_anything_is_trained(
    run: Callable[..., str], data: Path, tiny_teacher_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "train").symlink_to(data / "train")
    with pytest.raises(SystemExit, match=r"no sts/stsb-en-dev\.tsv in"):
        run(
            "layers_vs_sentence_transformers",
            *("--data", tmp_path, "--teacher", tiny_teacher_folder, "--work", tmp_path / "work"),
        )


def test_the_peer_s_every_nth_layer_has_the_teacher_s_weights(
    load: Callable[[str], ModuleType], tiny_teacher: SentenceTransformer, tiny_teacher_folder: Path
) -> None:
    student, layers = load("layers_vs_sentence_transformers").every_nth_layer(
        tiny_teacher, str(tiny_teacher_folder), 2
    )
    assert layers == (0, 2)
    blocks, kept = encoder_blocks(tiny_teacher), encoder_blocks(student)
    for block, layer in zip(kept, layers, strict=True):
        for ours, theirs in zip(block.parameters(), blocks[layer].parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_peer_that_stops_is_told_with_its_last_words(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    with (
        pytest.raises(SystemExit, match=r"(?s)the peer stopped at 'versions'.*no_such_peer"),
        load("peer").Peer(None, "no_such_peer.py", tmp_path) as peer,
    ):
        peer.call("versions")


def test_a_peer_s_model_is_scored_like_any_other_and_gets_no_prompt(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    class Answering:
        work = tmp_path
        given: list[str]

        def give(self, name: str, texts: list[str]) -> str:
            self.given = texts
            return name

        def call(self, function: str, *, name: str, texts: str, output: str) -> None:
            assert (function, name, texts) == ("encode", "theirs", "peer_texts")
            np.save(output, np.array([[len(text), 1.0] for text in self.given]))

    peer = Answering()
    vectors = Vectors("peer", load("peer").PeerModel(peer, "theirs"))
    np.testing.assert_array_equal(vectors.of(["ab", "abc"], "query"), [[2, 1], [3, 1]])
    assert sorted(peer.given) == ["ab", "abc"]


def test_tokenlearn_uses_no_vectors_of_another_teacher_or_of_other_texts(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    def folder(teacher: str, texts: str) -> str:
        peer = Mock()
        peer.call.return_value = {"seconds": 1.0}
        setting = SimpleNamespace(
            teacher=SimpleNamespace(folder=teacher, cache_key=lambda: SimpleNamespace(digest=teacher * 32)),
            corpus=Mock(facts=SimpleNamespace(sha256=texts * 64)),
            work=tmp_path,
        )
        options = argparse.Namespace(texts=400, seed=12, without_tokenlearn=False)
        load("static_vs_model2vec").distil_peers(peer, setting, options)
        return str(peer.call.call_args.kwargs["folder"])

    folders = [folder(teacher, texts) for teacher, texts in (("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"))]
    assert len(set(folders)) == 3
    assert folders[0] == folders[-1]


def test_the_teacher_pass_gives_the_vectors_of_encode(
    run: Callable[..., str], data: Path, tiny_teacher_folder: Path, tmp_path: Path
) -> None:
    printed = run(
        "teacher_pass", "--texts", 200, "--data", data, "--teacher", tiny_teacher_folder, "--work", tmp_path
    )
    line = json.loads(printed.splitlines()[-1])
    assert set(line) == AGREED | {"precision", "same_precision"}
    same = next(row for row in line["results"] if row["pass"] == "teacher pass")
    assert same["precision"] == "float32"
    assert same["cosine_min"] > 0.9999


def test_each_teacher_pass_is_warmed_up_before_any_is_timed(
    load: Callable[[str], ModuleType],
    run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tiny_teacher_folder: Path,
    tmp_path: Path,
) -> None:
    script = load("teacher_pass")
    sizes: list[int] = []

    def counting(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any) -> Callable[[TextTable], np.ndarray]:
            encode = make(*given)
            return lambda texts: sizes.append(len(texts)) or encode(texts)

        return made

    for name in ("_peer", "_ours"):
        monkeypatch.setattr(script, name, counting(getattr(script, name)))
    monkeypatch.setattr(script, "WARM_UP", 3)
    run("teacher_pass", "--texts", 40, "--data", data, "--teacher", tiny_teacher_folder, "--work", tmp_path)
    passes = sizes.count(3)
    assert passes in (3, 6)
    assert sizes == [3] * passes + [10] * passes * script.ROUNDS


def test_layers_are_compared_at_equal_texts_and_at_equal_seconds(
    load: Callable[[str], ModuleType],
    run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tiny_teacher_folder: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(load("comparison"), "HELD_OUT", 0.3)
    monkeypatch.setattr(load("layer_comparison"), "QUERIES", 20)
    script = load("layers_vs_sentence_transformers")
    monkeypatch.setattr(script, "trains_in_bf16", lambda _: True)
    given = Mock(wraps=script.SentenceTransformerTrainingArguments)
    monkeypatch.setattr(script, "SentenceTransformerTrainingArguments", given)
    printed = run(
        "layers_vs_sentence_transformers",
        *("--texts", 100, "--layers", 2, "--seeds", 1),
        *("--data", data, "--teacher", tiny_teacher_folder, "--work", tmp_path),
    )
    line = json.loads(printed.splitlines()[-1])
    assert set(line) == AGREED | LAYERS
    assert (line["queries"], line["documents"]) == (20, 60)
    teacher, equal_texts, peer, bfloat16, same, equal_seconds = line["results"]
    assert teacher["overlap"] == 1
    assert equal_texts["texts"] == peer["texts"] == bfloat16["texts"] == same["texts"] == 100
    assert bfloat16["student"] == "sentence-transformers' example, bfloat16"
    assert [call.kwargs["bf16"] for call in given.call_args_list] == [False, True]
    assert line["ours"] == equal_seconds["overlap"]
    assert line["peer"] == peer["overlap"]
    assert [run["seed"] for run in line["runs"]] == [1] * 5
    assert same["student"] == "hubdistill, the peer's layers"
    assert line["seconds_ratio"] == round(peer["seconds"] / same["seconds"], 3)


def test_too_few_held_out_texts_are_told_before_anything_is_trained(
    run: Callable[..., str], data: Path, tiny_teacher_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        SystemExit,
        match=r"held-out texts are too few for 500 queries and 1,500 documents; .* about 69,983 .* are 500$",
    ):
        run(
            "layers_vs_sentence_transformers",
            *("--data", data, "--teacher", tiny_teacher_folder, "--work", tmp_path),
        )


def test_a_ratio_to_nothing_is_null(
    load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    load("comparison").conclude("some", "measure", 0.1, 0.0, better="higher", seed=1, texts=1, results=[])
    assert json.loads(capsys.readouterr().out)["ratio"] is None


def layers_line() -> dict[str, Any]:
    row = {"stsb_test": 0.8, "cranfield": 0.5, "cisi": 0.4, "overlap": 0.7, "texts": 1000, "seconds": 60.0}
    spread = {"spread": {"overlap": [0.69, 0.71]}}
    return {
        "benchmark": "layers_vs_sentence_transformers",
        "layers": 3,
        "seeds": [1, 2],
        "seconds_ratio": 7.0,
        "precision": "bfloat16",
        "seed": 1,
        "texts": 1000,
        "threads": 1,
        "machine": "a processor, 2 cores, device cpu",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
        "results": [
            {"student": "teacher", "stsb_test": 0.82},
            {"student": "hubdistill, equal texts", **row, **spread},
            {"student": "an example", **row, **spread, "seconds": 252.0},
            {"student": "hubdistill, the peer's layers", **row, **spread, "seconds": 36.0},
        ],
        "runs": [
            {"student": "an example", "seed": 1, "teacher_seconds": 40.0},
            {"student": "an example", "seed": 2, "teacher_seconds": 44.0},
        ],
    }


def test_the_section_says_figures_seeds_machine_and_versions(how_good: ModuleType) -> None:
    section = how_good.how_good([layers_line()])
    assert "| hubdistill, equal texts | 1,000 | 0.8000 | 0.5000 | 0.4000 | 0.7000 |  | 60 |" in section
    assert "| an example | 1,000 | 0.8000 | 0.5000 | 0.4000 | 0.7000 | 42 | 252 |" in section
    assert "| teacher |  | 0.8200 |" in section
    assert "against an example: once with its texts and once with its seconds" in section
    assert (
        "it trains 4.2 times as long as ours with the search for layers and 7.0 times as long as ours with "
        "the same layers and no search (ours bfloat16, its float32)" in section
    )
    assert "seeds 1, 2" in section
    assert "0.690 to 0.710" in section
    assert "a processor, 2 cores, device cpu, 1 thread; seed 1; python 3.11.7, torch 2.13.0." in section
    assert "CPU" in section


def test_without_the_peer_s_layers_its_seconds_are_compared_with_those_of_the_search_alone(
    how_good: ModuleType,
) -> None:
    line = layers_line()
    section = how_good.how_good([line | {"results": line["results"][:-1]}])
    assert "it trains 4.2 times as long as ours with the search for layers (ours bfloat16" in section
    assert "no search" not in section


def test_a_peer_in_our_precision_has_ratios_of_its_own(how_good: ModuleType) -> None:
    line = layers_line()
    teacher, ours, peer, same = line["results"]
    quicker = peer | {"student": "an example, bfloat16", "seconds": 180.0}
    section = how_good.how_good([line | {"results": [teacher, ours, peer, quicker, same]}])
    assert "against an example:" in section
    assert (
        "(ours bfloat16, its float32); in bfloat16 too, 3.0 times as long as ours with the search for layers "
        "and 5.0 times as long as ours with the same layers and no search." in section
    )


def static_line() -> dict[str, Any]:
    made = {"dimensions": 4, "stsb_test": 0.7, "cranfield": 0.4, "cisi": 0.3, "overlap": 0.2, "seconds": 15.0}
    return layers_line() | {
        "benchmark": "static_vs_model2vec",
        "results": [
            {"student": "teacher", "stsb_test": 0.82},
            {"student": "hubdistill", **made, "texts": 1000, "teacher_seconds": 3000.4},
            {"student": "model2vec", **made, "texts": 0},
            {"student": "tokenlearn", **made, "texts": 1000, "teacher_seconds": 1250.0},
        ],
    }


def test_static_students_have_the_seconds_of_the_teacher_s_pass(how_good: ModuleType) -> None:
    section = how_good.how_good([static_line()])
    assert "| Teacher seconds | Seconds |" in section
    assert "| hubdistill | 4 | 0.7000 | 0.4000 | 0.3000 | 0.2000 | 3,000 | 15 |" in section
    assert "| model2vec | 4 | 0.7000 | 0.4000 | 0.3000 | 0.2000 | 0 | 15 |" in section
    assert "| tokenlearn | 4 | 0.7000 | 0.4000 | 0.3000 | 0.2000 | 1,250 | 15 |" in section
    assert "estimate" not in section
    assert "tokenlearn had these texts; by default its command takes a million." in section


def test_teacher_seconds_that_were_not_timed_are_called_an_estimate(how_good: ModuleType) -> None:
    section = how_good.how_good([static_line() | {"teacher_estimate": "at the rate of 90 texts"}])
    assert "hubdistill's teacher seconds are an estimate, at the rate of 90 texts." in section
    assert "| 0.2000 | about 3,000 | 15 |" in section
    assert "| 0.2000 | 1,250 | 15 |" in section


def test_runs_of_one_benchmark_follow_each_other_by_their_texts(how_good: ModuleType) -> None:
    few, many = layers_line() | {"layers": 2}, layers_line() | {"texts": 5000}
    section = how_good.how_good([many, few])
    assert section.index("**2 layers kept**") < section.index("**3 layers kept**")


def test_write_replaces_what_is_between_the_markers_and_no_more(
    how_good: ModuleType, run: Callable[..., str], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "layers.json").write_text(json.dumps(layers_line()) + "\n")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{how_good.OPEN}\nold\n{how_good.CLOSE}\nafter\n")
    for _ in range(2):
        run("how_good", "--write", "--results", results, "--readme", readme)
        section = how_good.how_good(how_good.read_results(results))
        expected = f"before\n{how_good.OPEN}\n{section}{how_good.CLOSE}\nafter\n"
        assert readme.read_text() == expected


@pytest.mark.parametrize("content", ["", "label  ms\ncache  0.5\n", '{"benchmark": '])
def test_a_result_of_a_run_that_stopped_is_named(how_good: ModuleType, tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(SystemExit, match=r"labels\.json does not end with a benchmark's line of JSON"):
        how_good.read_results(tmp_path)


def test_a_readme_without_markers_is_left_alone(how_good: ModuleType) -> None:
    with pytest.raises(SystemExit, match="needs <!-- how-good -->"):
        how_good.put("no markers", "section", Path("README.md"))


def test_the_readme_agrees_with_the_results(how_good: ModuleType) -> None:
    if not list(how_good.RESULTS.glob("*.json")):
        pytest.skip("no results are committed")
    readme = how_good.README.read_text(encoding="utf-8")
    section = how_good.how_good(how_good.read_results(how_good.RESULTS))
    assert how_good.put(readme, section, how_good.README) == readme
