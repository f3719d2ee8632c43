"""The commands on a tiny teacher, from the recipe to a Hub."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from hubdistill.localhub import DEMO_TOKEN, LocalHub
from hubdistill.report import load_report

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_teacher_folder: Path) -> Path:
    """A folder with a recipe, its texts and its teacher."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "teacher").symlink_to(tiny_teacher_folder)
    texts = [f"{a} {b} {c} text." for a in WORDS for b in WORDS for c in WORDS[:4]]
    (folder / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    pairs = [(texts[i], texts[(i * 7) % 500]) for i in range(60)]
    lines = [f"{len({*a.split()} & {*b.split()})}\t{a}\t{b}\n" for a, b in pairs]
    (folder / "pairs.tsv").write_text("score\tsentence1\tsentence2\n" + "".join(lines), encoding="utf-8")
    recipe = {
        "name": "tiny",
        "teacher": {"model": "teacher", "hub_id": "demo/tiny-teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"]}], "held_out": 0.2},
        "students": [
            {"name": "tiny-2-layers", "layers": 2},
            {"name": "tiny-static", "kind": "static", "iterations": 3},
        ],
        "training": {"evaluations": 1},
        "evaluation": {
            "similarity": [{"name": "pairs", "files": ["pairs.tsv"]}],
            "held_out_texts": 80,
            "queries": 10,
            "k": [5, 10],
            "speed": {
                "tokens": [8],
                "batch_sizes": [4],
                "seconds": 0.01,
                "repeats": 2,
                "calls": 5,
                "footprint": False,
            },
            "bootstrap": 100,
        },
        "card": {"license": "apache-2.0", "language": ["en"]},
        "publish": {"namespace": "demo"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def command(folder: Path, hub: LocalHub) -> Run:
    """The real command, in a process of its own that knows only the local Hub."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUBDISTILL_"))},
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": DEMO_TOKEN,
        "HF_HOME": str(folder / "hf"),
    }

    def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hubdistill", *arguments],
            cwd=folder,
            env={**environment, **changes},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def published(command: Run) -> list[dict[str, object]]:
    """What `run --push` prints for machines."""
    done = command("run", "recipe.yaml", "--push", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_run_makes_measures_describes_and_publishes(
    published: list[dict[str, object]], folder: Path, hub: LocalHub
) -> None:
    assert [student["student"] for student in published] == ["tiny-2-layers", "tiny-static"]
    assert [student["layers"] for student in published] == [2, 0]
    assert published[0]["where"] == f"{hub.endpoint}/demo/tiny-2-layers"
    students = folder / "runs" / "tiny" / "students"
    for name in ("tiny-2-layers", "tiny-static"):
        assert load_report(students / name).student == name
        assert (students / name / "README.md").is_file()


def test_a_repeat_of_distill_keeps_the_students(published: object, command: Run) -> None:
    done = command("distill", "recipe.yaml", "--json", "--device", "cpu")
    assert [student["reused"] for student in json.loads(done.stdout)] == [True, True]


def test_embed_says_how_many_texts_have_vectors(published: object, command: Run) -> None:
    done = command("embed", "recipe.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "training texts" in done.stdout
    assert json.loads(command("embed", "recipe.yaml", "--json", "--device", "cpu").stdout)["held_out"] > 10


def test_a_published_student_is_measured_from_the_hub(published: object, command: Run, folder: Path) -> None:
    done = command(
        "evaluate", "demo/tiny-2-layers@main", "--teacher", "teacher", "--texts", "texts.txt",
        "--settings", "recipe.yaml", "--no-speed", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["evaluation/tiny-2-layers"]
    here = load_report(folder / "evaluation" / "tiny-2-layers")
    there = load_report(folder / "runs" / "tiny" / "students" / "tiny-2-layers")
    ours, theirs = here.models["tiny-2-layers"], there.models["tiny-2-layers"]
    assert ours.hub_id == "demo/tiny-2-layers"
    assert len(ours.revision) == 40
    assert ours.architecture == theirs.architecture
    # The published report says how it was made, and the figures of the pairs are the same.
    assert here.training == there.training
    assert [m.value for m in here.find("spearman_cosine", data="pairs", model="tiny-2-layers")] == [
        m.value for m in there.find("spearman_cosine", data="pairs", model="tiny-2-layers")
    ]


def test_people_get_a_table(published: object, command: Run) -> None:
    done = command("evaluate", "recipe.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("tiny", "demo"))]
    assert rows == ["tiny-2-layers", "tiny-static", "demo/tiny-teacher"]


def test_card_of_a_folder_is_written_for_a_repository(published: object, command: Run, folder: Path) -> None:
    student = folder / "runs" / "tiny" / "students" / "tiny-static"
    done = command("card", str(student), "--repo-id", "acme/other")
    assert done.returncode == 0, done.stderr
    assert 'SentenceTransformer("acme/other")' in (student / "README.md").read_text(encoding="utf-8")
    again = command("card", "recipe.yaml", "--quiet")
    assert len(again.stdout.splitlines()) == 3  # two students and their family
    assert 'SentenceTransformer("demo/tiny-static")' in (student / "README.md").read_text(encoding="utf-8")


def test_push_of_a_folder_and_its_repeat(published: object, command: Run) -> None:
    arguments = ("push", "runs/tiny/students/tiny-static", "--repo-id", "demo/by-hand", "--json")
    planned = json.loads(command(*arguments, "--dry-run").stdout)
    assert (planned["commit"], planned["dry_run"], planned["created"]) == (None, True, True)
    paths = {file["path"] for file in planned["files"]}
    fewer = json.loads(command(*arguments, "--dry-run", "--exclude", "figures/*").stdout)
    left = {file["path"] for file in fewer["files"]}
    assert paths - left == {path for path in paths if path.startswith("figures/")} != set()
    card = json.loads(command(*arguments, "--dry-run", "--include", "README.md").stdout)
    assert [file["path"] for file in card["files"]] == ["README.md"]
    first = command(*arguments, "--no-load-back")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["commit"]
    assert json.loads(first.stdout)["load_back"] is None
    assert json.loads(command(*arguments).stdout)["commit"] is None


def test_push_without_a_token_says_so(published: object, command: Run) -> None:
    done = command("push", "runs/tiny/students/tiny-static", "--repo-id", "demo/x", HF_TOKEN="")
    assert done.returncode == 2
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_teacher_is_a_message(command: Run, folder: Path) -> None:
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["teacher"]["model"] = "nowhere/to-be-found"
    (folder / "no-teacher.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    done = command("run", "no-teacher.yaml")
    assert done.returncode == 1
    assert "nowhere/to-be-found" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_many_layers_are_a_message(command: Run, folder: Path) -> None:
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["students"] = [{"name": "deep", "layers": 9}]
    (folder / "deep.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    done = command("run", "deep.yaml")
    assert done.returncode == 2
    assert "layers" in done.stderr
    assert "Traceback" not in done.stderr


def test_localhub_says_how_to_reach_it_and_stops_at_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hubdistill", "localhub", "--folder", str(tmp_path / "hub")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert lines[0].startswith("A Hub is listening at http://127.0.0.1:")
    assert lines[2].startswith("export HF_ENDPOINT=http://127.0.0.1:")
    assert lines[3] == f"export HF_TOKEN={DEMO_TOKEN}\n"
